"""Real networks: every operation has a rule, every shape and number agrees."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from pruners_torch.tracing import trace
from torch import nn

from pruners.structure.engine import analyse

from .checking import check_numbers, check_shapes, kinds

pytestmark = pytest.mark.filterwarnings("ignore")

NETWORKS = [
    "googlenet",
    "shufflenet_v2_x0_5",
    "deeplabv3_mobilenet_v3_large",
    "swin_t",
    "convnext_atto",
    "mobilevit_xxs",
    "vit_tiny_patch16_224",
    "efficientvit_m0",
]


def check(model, inputs):
    recording = trace(model, inputs)
    for program in recording.programs.values():
        check_shapes(program)
        assert "opaque" not in kinds(program)
    compared, total = check_numbers(model, recording, inputs)
    assert compared > total / 5
    structure = analyse(recording.programs, weights={}, literals=recording.literals, rescales=True)
    assert not structure.unruled
    return recording


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_recorded_as_it_computes(network, name):
    check(*network(name))


def test_a_detector_takes_a_list_and_is_recorded_in_evaluation(detection):
    model = detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=3).eval()
    recording = check(model, ([torch.rand(3, 64, 64), torch.rand(3, 48, 64)],))
    assert list(recording.programs) == ["eval"]
    assert "targets should not be none" in recording.notes[0]


def test_a_head_of_training_is_recorded(network):
    programs = trace(*network("googlenet")).programs
    called = [{call.module for call in program.calls} for program in programs.values()]
    assert "aux1.fc1" not in called[0] and "aux1.fc1" in called[1]


layers = st.lists(
    st.sampled_from(["conv", "norm", "relu", "skip", "cat", "pool", "shuffle"]), min_size=1, max_size=8
)


class Random(nn.Module):
    """A network put together at random; the number of channels stays."""

    def __init__(self, names):
        super().__init__()
        self.names = names
        self.blocks = nn.ModuleList([self._block(name) for name in names])

    def _block(self, name):
        if name == "norm":
            return nn.BatchNorm2d(4)
        return nn.Conv2d(8 if name == "cat" else 4, 4, 3, padding=1)

    def forward(self, x):
        for name, block in zip(self.names, self.blocks, strict=True):
            if name in ("conv", "norm"):
                x = block(x)
            elif name == "relu":
                x = x.relu_() if x._base is None else x.relu()
            elif name == "skip":
                x = x + block(x)
            elif name == "cat":
                x = block(torch.cat([x, x.flip(1)], 1))
            elif name == "pool":
                x = nn.functional.avg_pool2d(x, 3, 1, 1)
            else:
                x = x.view(x.shape[0], 2, 2, *x.shape[2:]).transpose(1, 2).flatten(1, 2)
        return x


@settings(max_examples=25, deadline=None)
@given(layers)
def test_any_network_has_one_producer_per_value(names):
    torch.manual_seed(0)
    model, inputs = Random(names).eval(), (torch.randn(2, 4, 5, 5),)
    recording = trace(model, inputs)
    for program in recording.programs.values():
        check_shapes(program)
    check_numbers(model, recording, inputs)
    assert len(recording.programs["eval"].results) == 1
