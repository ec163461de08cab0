"""Every family of operations: shapes, numbers, options."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from pruners_torch.tracing import trace
from torch import nn

from pruners.structure.engine import analyse
from pruners.structure.program import NONE

from .checking import check_numbers, check_shapes, kinds, ops
from .models import CASES, Calling, picture, weight

pytestmark = pytest.mark.filterwarnings("ignore")

NOTHING_TO_COMPUTE = ("mixed", "scattered", "lstm cell", "spectrum", "places of the largest", "sliding")
"""Models whose records leave open what each operation computes."""


@pytest.mark.parametrize("name", CASES)
def test_shapes_and_numbers_agree_with_the_tensors(name):
    model, inputs = CASES[name]()
    recording = trace(model, inputs)
    for program in recording.programs.values():
        check_shapes(program)
    compared, _ = check_numbers(model, recording, inputs)
    assert compared or name in NOTHING_TO_COMPUTE
    analyse(recording.programs, weights={}, literals=recording.literals, rescales=True)


@pytest.mark.parametrize("name", [name for name in CASES if name != "without a rule"])
def test_every_operation_has_a_rule(name):
    model, inputs = CASES[name]()
    assert "opaque" not in kinds(trace(model, inputs, modes=("eval",)).programs["eval"])


def program(model, *inputs, mode="eval"):
    return trace(model, inputs).programs[mode]


def only(model, *inputs, kind):
    (op,) = ops(program(model, *inputs), kind)
    return op


def test_an_operation_without_a_rule_is_opaque_and_named():
    op = only(Calling(lambda self, x: torch.cdist(x, x)), torch.randn(2, 4, 4), kind="opaque")
    assert op.place.operation == "aten._cdist_forward"


def test_a_convolution_keeps_its_options():
    model = nn.Conv2d(4, 6, 3, stride=(2, 1), padding=1, dilation=2, groups=2, bias=False)
    op = only(model, picture(4), kind="conv")
    assert op.inputs[2] == NONE
    assert dict(op.options) == {
        "groups": 2,
        "transposed": False,
        "stride": (2, 1),
        "padding": (1, 1),
        "dilation": (2, 2),
    }


def test_a_transposed_convolution_says_so():
    assert only(nn.ConvTranspose2d(3, 6, 2), picture(), kind="conv").options["transposed"]


def test_a_linear_layer_is_a_product_and_a_sum():
    found = program(nn.Linear(3, 4), torch.randn(2, 3))
    assert kinds(found) == ["transpose", "contract", "elementwise"]
    assert ops(found, "contract")[0].options["spec"] == "ab,bc->ac"
    assert ops(found, "elementwise")[0].inputs[1] == found.parameters["bias"]


def test_batch_norm_uses_the_batch_in_training_only():
    def forward(self, x):
        y = self.layers(x)
        return (y, self.last(y)) if self.training else y

    layers = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    recording = trace(Calling(forward, layers=layers, last=nn.Conv2d(4, 2, 1)), (picture(),))
    flags = [ops(p, "batch_norm")[0].options["batch_statistics"] for p in recording.programs.values()]
    assert list(recording.programs) == ["eval", "train"]
    assert flags == [False, True]
    norm = ops(recording.programs["eval"], "batch_norm")[0]
    names = [f"layers.1.{name}" for name in ("weight", "bias", "running_mean", "running_var")]
    assert norm.inputs[1:] == tuple(recording.programs["eval"].parameters[name] for name in names)


@pytest.mark.parametrize("norm", [nn.LayerNorm((4, 6)), nn.RMSNorm((4, 6))])
def test_norms_over_features_are_one_operation(norm):
    found = program(norm, torch.randn(2, 3, 4, 6))
    assert kinds(found) == ["layer_norm"]
    assert found.ops[0].options["axes"] == (2, 3)


def test_elementwise_operations_keep_their_name_in_place_or_not():
    found = program(Calling(lambda self, x: (x + 1).relu_().sigmoid()), torch.randn(2, 3))
    assert [op.options["function"] for op in found.ops] == ["add", "relu", "sigmoid"]


def test_attention_is_one_operation_however_it_is_computed():
    for case, count in (
        ("attention with weights", 1),
        ("encoder", 2),
        ("decoder", 2),
        ("grouped queries", 1),
    ):
        model, inputs = CASES[case]()
        found = trace(model, inputs, modes=("eval",)).programs["eval"]
        attentions = ops(found, "attention")
        assert [op.options["scale"] for op in attentions] == [None] * count, case


def test_attention_with_its_own_scale_says_so():
    model = Calling(lambda self, x: F.scaled_dot_product_attention(x, x, x, scale=0.5))
    assert only(model, torch.randn(2, 3, 4, 5), kind="attention").options["scale"] == 0.5


def test_attention_reads_its_mask():
    mask = torch.zeros(4, 4)
    model = Calling(lambda self, x: F.scaled_dot_product_attention(x, x, x, attn_mask=mask))
    found = program(model, torch.randn(2, 3, 4, 5))
    assert found.shapes[ops(found, "attention")[0].inputs[3]] == (4, 4)


@pytest.mark.parametrize("name", ["lstm", "gru", "lstm cell"])
def test_recurrent_layers_are_kept_whole_on_purpose(name):
    model, inputs = CASES[name]()
    found = trace(model, inputs, modes=("eval",)).programs["eval"]
    (op,) = ops(found, "whole")
    assert "recurrent" in op.options["reason"]
    assert {found.parameters[p] for p in found.parameters if not p.startswith("last")} <= set(op.inputs)


def test_arrays_from_sizes_alone_are_constants_and_those_with_places_are_not():
    model = Calling(lambda self, x: x + torch.zeros(3) + torch.ones(2, 3) + torch.arange(3))
    found = program(model, torch.randn(2, 3))
    assert [found.shapes[value] for value in found.constants] == [(3,), (2, 3)]
    assert ops(found, "whole")[0].place.operation == "aten.arange"


def test_a_tensor_nobody_recorded_comes_from_outside():
    table = torch.randn(3)
    found = program(Calling(lambda self, x: x + table), torch.randn(2, 3))
    (op,) = found.ops
    assert not {*found.parameters.values(), *found.constants} & set(op.inputs)


def test_the_data_of_a_weight_is_the_weight():
    model = Calling(lambda self, x: x * self.weight.data, weight=weight(3))
    found = program(model, torch.randn(2, 3))
    assert found.ops[-2].inputs == (found.parameters["weight"],)


def test_tied_parameters_are_one_value_with_all_names():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    recording = trace(model, (torch.randn(2, 3),))
    assert recording.names["0.weight"] == ("0.weight", "1.weight")
    assert "1.weight" not in recording.programs["eval"].parameters


def test_buffers_and_unused_parameters_have_values_too():
    model = nn.Sequential(nn.BatchNorm1d(3))
    model.register_parameter("spare", weight(2))
    found = trace(model, (torch.randn(2, 3),)).programs["eval"]
    assert {"spare", "0.running_mean", "0.num_batches_tracked"} <= set(found.parameters)


def test_the_tensor_that_a_written_slice_looks_into_has_a_new_value():
    model, inputs = CASES["slices assigned"]()
    found = trace(model, inputs, modes=("eval",)).programs["eval"]
    whole = found.calls[-1].input
    (alias,) = [op for op in found.ops if whole in op.outputs]
    assert alias.options["function"] == "alias"
    assert alias.inputs[0] in found.constants


def test_padding_with_zeros_is_a_pad_and_any_other_is_not():
    zeros = only(nn.ZeroPad2d((1, 2, 3, 4)), picture(), kind="pad")
    assert (zeros.options["before"], zeros.options["after"]) == ((0, 0, 3, 1), (0, 0, 4, 2))
    assert only(nn.ConstantPad2d(1, 2.0), picture(), kind="window").options["axes"] == (2, 3)


def test_operations_know_the_module_and_a_shape_knows_its_line():
    model = nn.Sequential(nn.Linear(3, 4), Calling(lambda self, x: x.view(-1, 2)))
    found = program(model, torch.randn(2, 3))
    assert [op.place.module for op in found.ops] == ["0", "0", "0", "1"]
    assert found.ops[-1].place.line.startswith("test_translations.py:")


def test_calls_say_what_each_module_with_parameters_read_and_gave():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True), nn.Conv2d(4, 2, 1))
    found = program(model, picture())
    conv, relu, last = found.ops
    assert [(call.module, call.input, call.output) for call in found.calls] == [
        ("0", conv.inputs[0], conv.outputs[0]),
        ("2", relu.outputs[0], last.outputs[0]),
    ]


def test_a_module_called_by_keyword_has_its_input_too():
    model = Calling(lambda self, x: self.lin(input=x), lin=nn.Linear(3, 4))
    found = program(model, torch.randn(2, 3))
    contract = ops(found, "contract")[0]
    assert found.calls[0].input == contract.inputs[0]


class Boxes:
    def __init__(self, tensor):
        self.tensor = tensor


def test_results_are_found_in_any_container():
    from collections import namedtuple

    pair = namedtuple("pair", "first second")

    def nested(self, x):
        return {"a": [x + 1, (x + 2, None)], "b": pair(x + 3, Boxes(x + 4)), "c": "text"}

    found = program(Calling(nested), torch.randn(2, 3))
    assert found.results == [op.outputs[0] for op in found.ops]


def test_regions_keep_channels_and_need_their_boxes_whole(detection):
    from torchvision.ops import roi_align

    boxes = torch.tensor([[0.0, 1.0, 1.0, 5.0, 5.0], [1.0, 0.0, 0.0, 4.0, 4.0], [0.0, 2.0, 2.0, 6.0, 6.0]])
    model = Calling(lambda self, x: roi_align(self.conv(x), boxes, 2), conv=nn.Conv2d(3, 4, 1))
    found = trace(model, (picture(),), modes=("eval",)).programs["eval"]
    (op,) = ops(found, "window")
    assert op.options["axes"] == (0, 2, 3)
    assert found.shapes[op.outputs[0]] == (3, 4, 2, 2)
    assert found.shapes[op.inputs[1]] == (3, 5)


def test_an_exported_program_is_recorded_alike():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)
    ).eval()
    exported = torch.export.export(model, (picture(),)).module()
    plain, graph = (
        kinds(trace(m, (picture(),), modes=("eval",)).programs["eval"]) for m in (model, exported)
    )
    assert [kind for kind in graph if kind != "elementwise"] == [
        kind for kind in plain if kind != "elementwise"
    ]


def test_a_scripted_module_is_recorded():
    model = torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()))
    found = trace(model, (picture(),), modes=("eval",)).programs["eval"]
    assert kinds(found) == ["conv", "elementwise"]
