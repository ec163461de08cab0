"""Network slimming: the published table, which norm counts, and the term that training adds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pruners_bn_scale import penalty

import pruners

scales = hnp.arrays(np.float64, st.integers(1, 6), elements=st.floats(-4, 4, width=16))


@given(st.lists(scales, min_size=1, max_size=4), st.floats(0, 1))
def test_the_penalty_is_the_weighted_sum_of_magnitudes(arrays, strength):
    expected = strength * sum(float(np.abs(array).sum()) for array in arrays)
    np.testing.assert_allclose(penalty(arrays, strength), expected)
    np.testing.assert_allclose(penalty({str(i): a for i, a in enumerate(arrays)}, strength), expected)
    np.testing.assert_allclose(penalty(iter(arrays), strength), expected)


def test_a_penalty_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no scales to penalise"):
        penalty({})


def test_a_model_that_cannot_be_recorded_is_refused():
    with pytest.raises(pruners.NeedsData, match="'bn-scale' needs scales.*cannot be recorded"):
        pruners.masks({"w": np.ones((2, 2))}, "bn-scale", sparsity=0.5)
    with pytest.raises(pruners.OptionError, match="'numpy' knows no batch norms"):
        pruners.scales({"w": np.ones((2, 2))})


class TestTorch:
    """On real networks."""

    @pytest.fixture
    def torch(self):
        return pytest.importorskip("torch")

    @pytest.fixture
    def net(self, torch):
        nn = torch.nn
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4),
            nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2),
        )  # fmt: skip
        with torch.no_grad():
            net[1].weight.copy_(torch.tensor([0.9, 0.05, 0.4]))
            net[4].weight.copy_(torch.tensor([0.3, 0.02, 0.6, 0.1]))
        return net

    def test_the_worked_example(self, torch, net):
        masks = pruners.masks(
            net,
            "bn-scale",
            sparsity=0.5,
            scope="model",
            match=["0.weight", "3.weight"],
            example_inputs=X(torch),
        )
        kept = {name: mask.flatten(1).all(1).tolist() for name, mask in masks.items()}
        assert kept == {"0.weight": [True, False, True], "3.weight": [True, False, True, False]}

    def test_no_layer_loses_all(self, torch, net):
        with torch.no_grad():
            net[1].weight.mul_(1e-3)
        masks = pruners.masks(
            net,
            "bn-scale",
            sparsity=0.7,
            scope="model",
            match=["0.weight", "3.weight"],
            example_inputs=X(torch),
        )
        assert [int(mask.flatten(1).all(1).sum()) for mask in masks.values()] == [1, 2]

    def test_a_layer_without_a_norm_is_named(self, torch, net):
        before = {name: value.clone() for name, value in net.state_dict().items()}
        with pytest.raises(pruners.ScoreError, match="layer '8.weight': no batch norm.*exclude='8.weight'"):
            pruners.prune(net, "bn-scale", sparsity=0.5, example_inputs=X(torch))
        pruners.prune(net, "bn-scale", sparsity=0.5, exclude="8.weight", example_inputs=X(torch))
        assert torch.equal(net[8].weight, before["8.weight"])
        assert not torch.equal(net[0].weight, before["0.weight"])

    def test_live_scales_take_the_penaltys_gradient(self, torch, net):
        found = pruners.scales(net)
        assert list(found) == ["1.weight", "4.weight"] and found["1.weight"] is net[1].weight
        penalty(found, strength=0.5).backward()
        assert net[1].weight.grad.tolist() == [0.5] * 3 and net[0].weight.grad is None

    def test_training_with_the_penalty_makes_scales_small(self, torch, net):
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        before = sum(float(scale.detach().abs().sum()) for scale in pruners.scales(net).values())
        for _ in range(20):
            optimizer.zero_grad()
            (net(X(torch)).square().mean() + penalty(pruners.scales(net), strength=0.2)).backward()
            optimizer.step()
        assert sum(float(scale.detach().abs().sum()) for scale in pruners.scales(net).values()) < 0.7 * before

    def test_a_model_without_norms_has_no_scales(self, torch):
        assert pruners.scales(torch.nn.Linear(2, 2)) == {}


def X(torch):
    return torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))
