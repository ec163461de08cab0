"""Which parameters are weights, their canonical layout, and reading and writing them bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import pruners
from pruners.registry import backend_for

torch.set_num_threads(1)


def opened(model):
    return backend_for(model).open(model)


@pytest.mark.parametrize(
    ("module", "weights"),
    [
        (nn.Linear(3, 2), {"weight": (2, 3)}),
        (nn.Bilinear(3, 4, 2), {"weight": (2, 3, 4)}),
        (nn.Conv1d(4, 6, 3, groups=2), {"weight": (6, 2, 3)}),
        (nn.Conv2d(3, 2, (3, 5)), {"weight": (2, 3, 3, 5)}),
        (nn.Conv3d(3, 2, 1), {"weight": (2, 3, 1, 1, 1)}),
        (nn.ConvTranspose1d(4, 6, 3), {"weight": (6, 4, 3)}),
        (nn.ConvTranspose2d(4, 6, 3, groups=2), {"weight": (6, 2, 3, 3)}),
        (nn.ConvTranspose3d(4, 2, 2), {"weight": (2, 4, 2, 2, 2)}),
        (nn.Embedding(7, 3), {"weight": (7, 3)}),
        (nn.EmbeddingBag(7, 3), {"weight": (7, 3)}),
        (nn.MultiheadAttention(4, 2), {"in_proj_weight": (12, 4), "out_proj.weight": (4, 4)}),
        (
            nn.MultiheadAttention(4, 2, kdim=3, vdim=5),
            {
                "q_proj_weight": (4, 4),
                "k_proj_weight": (4, 3),
                "v_proj_weight": (4, 5),
                "out_proj.weight": (4, 4),
            },
        ),
        (nn.LSTM(3, 2), {"weight_ih_l0": (8, 3), "weight_hh_l0": (8, 2)}),
        (nn.GRUCell(3, 2), {"weight_ih": (6, 3), "weight_hh": (6, 2)}),
        (nn.Sequential(nn.BatchNorm2d(3), nn.PReLU(), nn.LayerNorm((2, 3))), {}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_wildcards_reach_the_weights_of_layers(module, weights):
    layers = opened(module).layers
    assert {name: layer.shape for name, layer in layers.items() if layer.default} == weights
    assert set(layers) == {name for name, _ in module.named_parameters()}


def test_a_grouped_transposed_convolution_is_out_in_per_group():
    layer = nn.ConvTranspose1d(4, 6, 2, groups=2, bias=False)
    canonical = opened(layer).read("weight")
    stored = layer.weight.detach().numpy()
    for out in range(6):
        for into in range(2):
            group = out // 3
            np.testing.assert_array_equal(canonical[out, into], stored[group * 2 + into, out % 3])


@pytest.mark.parametrize("groups", [1, 2])
def test_scores_and_masks_of_a_transposed_convolution_have_the_parameters_shape(groups):
    torch.manual_seed(0)
    layer = nn.ConvTranspose2d(4, 6, 3, groups=groups)
    scores = pruners.scores(layer, "level")["weight"]
    assert torch.equal(scores, layer.weight.detach().abs())
    mask = pruners.masks(layer, "level", sparsity=0.5)["weight"]
    assert mask.shape == layer.weight.shape and mask.is_contiguous()
    kept = layer.weight.detach()[mask].abs().min()
    assert kept >= layer.weight.detach()[~mask].abs().max()
    pruners.prune(layer, "level", sparsity=0.5)
    assert torch.equal(layer.weight != 0, mask)


def test_masks_equal_those_of_the_same_weights_in_a_linear_layer():
    weight = torch.randn(6, 4).round(decimals=1)
    linear, transposed = nn.Linear(4, 6), nn.ConvTranspose1d(4, 6, 1)
    with torch.no_grad():
        linear.weight.copy_(weight)
        transposed.weight.copy_(weight.t().unsqueeze(-1))
    one = pruners.masks(linear, "level", sparsity=0.4)["weight"]
    two = pruners.masks(transposed, "level", sparsity=0.4)["weight"]
    assert torch.equal(one, two.squeeze(-1).t()), "ties must fall by canonical index"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_reading_and_writing_keep_every_bit(dtype):
    layer = nn.ConvTranspose1d(4, 6, 2, groups=2, bias=False).to(dtype)
    with torch.no_grad():
        flat = layer.weight.view(-1)
        flat[:4] = torch.tensor([float("nan"), -0.0, float("-inf"), 1e-40], dtype=dtype)
    integers = {2: torch.int16, 4: torch.int32, 8: torch.int64}[layer.weight.element_size()]
    before = layer.weight.detach().view(integers).clone()
    parameter = layer.weight
    model = opened(layer)
    array = np.array(model.read("weight"))
    with torch.no_grad():
        layer.weight.fill_(3)
    model.write({"weight": array})
    assert torch.equal(layer.weight.detach().view(integers), before)
    assert layer.weight is parameter


def test_channels_last_weights_are_masked_in_place():
    layer = nn.Conv2d(8, 8, 3).to(memory_format=torch.channels_last)
    expected = pruners.masks(nn.Sequential(layer), "level", sparsity=0.5)["0.weight"]
    pruners.prune(layer, "level", sparsity=0.5)
    assert torch.equal(layer.weight != 0, expected)
    assert layer.weight.is_contiguous(memory_format=torch.channels_last)


def test_loose_parameters_are_reached_by_their_full_name_only():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.token = nn.Parameter(torch.randn(1, 8))
            self.fc = nn.Linear(8, 4)

    model = Model()
    assert list(pruners.masks(model, "level", sparsity=0.5)) == ["fc.weight"]
    assert list(pruners.masks(model, "level", sparsity=0.5, match="token")) == ["token"]
    assert list(pruners.masks(model, "level", sparsity=0.5, match=["fc.bias", "fc"])) == [
        "fc.weight",
        "fc.bias",
    ]
    assert list(pruners.masks(model, "level", sparsity={"token": 0.5, "fc.bias": 0.25})) == [
        "token",
        "fc.bias",
    ]


def test_integer_parameters_are_left_alone():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.codes = nn.Parameter(torch.arange(4), requires_grad=False)
            self.fc = nn.Linear(8, 4)

    assert set(opened(Model()).layers) == {"fc.weight", "fc.bias"}


def test_data_parallel_wrappers_are_opened_at_the_users_module():
    model = nn.DataParallel(nn.Sequential(nn.Linear(4, 4)))
    assert list(pruners.masks(model, "level", sparsity=0.5)) == ["0.weight"]


def test_a_third_partys_linear_subclass_is_matched_by_its_base_type():
    class Fancy(nn.Linear):
        pass

    model = nn.Sequential(Fancy(4, 4), nn.Conv1d(4, 4, 1))
    pruning = pruners.attach(model, pruners.Rule(types="Linear", sparsity=0.5))
    assert list(pruning.masks) == ["0.weight"]


def test_saving_writes_safetensors_with_tied_weights_once(tmp_path):
    from safetensors import safe_open

    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    model[1].weight = model[0].weight
    pruners.prune(model, "level", sparsity=0.5)
    path = str(tmp_path / "model.safetensors")
    opened(model).save(path)
    with safe_open(path, "pt") as file:
        assert len(list(file.keys())) == 1
        assert torch.equal(file.get_tensor(next(iter(file.keys()))), model[0].weight.detach())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_the_way_an_accelerator_masks_gives_the_same_bits(dtype):
    from pruners_torch._keeper import zero_on_device

    values = torch.tensor([1.5, -2.0, float("nan"), -float("inf"), -0.0, 1e-40, 3.0], dtype=dtype)
    mask = torch.tensor([True, False, False, False, False, True, True])
    masked = values.clone()
    zero_on_device(masked, mask)
    integers = {2: torch.int16, 4: torch.int32, 8: torch.int64}[values.element_size()]
    assert torch.equal(masked.view(integers), torch.where(mask, values.view(integers), 0))
