"""The reference of the zoo: what is masked, and normalisation over the features that stay."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from .masking import KeptFeatures, masked
from .tensors import distance, outputs

torch.set_num_threads(1)
STAYS = np.array([0, 2, 5])


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(len(shape)))


def randomised(module: nn.Module) -> nn.Module:
    for index, parameter in enumerate(module.parameters()):
        nn.init.normal_(parameter, 1.0, 0.5, generator=torch.Generator().manual_seed(index))
    return module.double().eval()


def test_masked_zeros_what_left_and_leaves_the_original_alone():
    model = nn.Sequential(nn.Conv2d(3, 6, 1), nn.BatchNorm2d(6))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    kept = {"0.weight": {0: STAYS}, "0.bias": {0: STAYS}, "1.running_var": {0: STAYS}}
    twin = masked(model, kept)
    gone = [1, 3, 4]
    assert not twin[0].weight[gone].any() and not twin[0].bias[gone].any()
    assert torch.equal(twin[0].weight[STAYS], model[0].weight[STAYS])
    assert twin[1].running_var[gone].tolist() == [1, 1, 1]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("kind", ["layer", "rms"])
def test_features_are_normalised_as_the_smaller_layer_does(kind):
    norm = randomised(nn.LayerNorm(6) if kind == "layer" else nn.RMSNorm(6))
    small = randomised(nn.LayerNorm(3) if kind == "layer" else nn.RMSNorm(3))
    for name, value in norm.named_parameters():
        small.get_parameter(name).data = value.data[STAYS].clone()
    kept = {name: {0: STAYS} for name, _ in norm.named_parameters()}
    x = drawn(4, 5, 6)
    twin = masked(norm, kept)
    with KeptFeatures(twin, kept):
        found = twin(x)
    torch.testing.assert_close(found[..., STAYS], small(x[..., STAYS]))
    assert not found[..., [1, 3, 4]].any()
    assert distance([twin(x)[..., STAYS]], [found[..., STAYS]]) > 0.01  # without it they would differ


@pytest.mark.parametrize(
    ("stays", "groups"), [([0, 1, 2, 3], 2), ([0, 1, 4, 5], 2)], ids=["whole group", "inside groups"]
)
def test_groups_are_normalised_over_the_channels_that_stay(stays, groups):
    stays = np.array(stays)
    norm = randomised(nn.GroupNorm(2, 8))
    kept = {"weight": {0: stays}, "bias": {0: stays}}
    x, twin = drawn(3, 8, 5), masked(norm, kept)
    with KeptFeatures(twin, kept):
        found = twin(x)[:, stays]
    left = 1 if set(stays) <= set(range(4)) else groups
    expected = functional.group_norm(x[:, stays], left, norm.weight[stays], norm.bias[stays])
    torch.testing.assert_close(found, expected)


def test_standardised_weights_leave_out_what_is_masked():
    weight, gain = drawn(4, 6, 3), drawn(4)

    def standardise(w: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        flat = w.reshape(1, len(w), -1)
        return functional.batch_norm(flat, None, None, weight=scale, training=True, eps=1e-6).reshape(w.shape)

    zeroed = weight.clone()
    zeroed[:, [1, 3, 4]] = 0
    with KeptFeatures(nn.Module(), {}):
        found = standardise(zeroed, gain)
    torch.testing.assert_close(found[:, STAYS], standardise(weight[:, STAYS], gain))
    assert not found[:, [1, 3, 4]].any()


def test_a_whole_network_equals_its_smaller_twin():
    model = randomised(nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.GELU(), nn.Linear(6, 2)))
    small = randomised(nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3), nn.GELU(), nn.Linear(3, 2)))
    kept = {f"{layer}.{name}": {0: STAYS} for layer in (0, 1) for name in ("weight", "bias")}
    kept["3.weight"] = {1: STAYS}
    for name, value in model.named_parameters():
        cut = value.data.clone()
        for axis, indices in kept.get(name, {}).items():
            cut = cut.index_select(axis, torch.from_numpy(indices))
        small.get_parameter(name).data = cut
    twin, x = masked(model, kept), (drawn(3, 4),)
    with KeptFeatures(twin, kept):
        expected = outputs(twin, x)[""]
    assert distance(expected, outputs(small, x)[""]) < 1e-12


def test_distance_sees_shapes_and_numbers():
    one = torch.ones(2)
    assert distance([one], [one, one]) == float("inf")
    assert distance([one], [torch.tensor([1.0, float("nan")])]) == float("inf")
    assert distance([2 * one], [3 * one]) == 0.5
