"""Han's threshold by hand, NNI's fraction, one q for many layers, and the corner cases."""

import math

import array_api_compat.numpy as ops
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pruners_sensitivity._sensitivity import Sensitivity, _share

import pruners

FIGURE = [-2, -1, -0.5, -0.1, 0.1, 0.5, 1, 2]
KEPT = [1, 1, 0, 0, 0, 0, 1, 1]


class View:
    def __init__(self, weights, prepared=None):
        self.weights = {name: np.array(weight, float) for name, weight in weights.items()}
        self.prepared, self.ops = prepared or {}, ops


def counts(weights, sparsity, prepared=None, **options):
    """How many weights of each layer go, read from the fractions as selection reads them."""
    view = View(weights, prepared)
    shares = Sensitivity(**options).allocate(view, sparsity)
    assert all(0 <= share < 1 for share in shares.values())
    return {name: math.floor(share * view.weights[name].size + 1e-9) for name, share in shares.items()}


def mask(weights, sparsity, **options):
    pruner = pruners.pruner("sensitivity", **options)
    found = pruners.masks({"w": np.array(weights, np.float32)}, pruner, sparsity=sparsity, match="w")
    return found["w"].astype(int).tolist()


@pytest.mark.parametrize(("std", "value"), [("population", 1.14673), ("unbiased", 1.22591)])
def test_the_worked_example(std, value):
    pruner = Sensitivity(std=std)
    assert pruner.prepare(View({"w": FIGURE}))["w"] == pytest.approx(value, abs=1e-4)
    assert mask(FIGURE, 0.5, std=std) == KEPT


def test_the_two_deviations_differ_where_a_weight_lies_between():
    weights = [-1.0, 0.0, 0.9, 1.0]  # 0.9 / population 0.8198 = 1.098; 0.9 / unbiased 0.9465 = 0.951
    assert mask(weights, 1.0, std="population") == [1, 0, 1, 1]
    assert mask(weights, 1.0, std="unbiased") == [1, 0, 0, 1]


def test_of_normal_weights_one_deviation_removes_68_percent():
    weights = np.random.default_rng(0).normal(0, 0.02, (500, 400))
    assert counts({"w": weights}, 1.0)["w"] / weights.size == pytest.approx(0.6827, abs=0.004)


def test_the_mask_is_the_threshold():
    weights = np.random.default_rng(1).normal(size=(30, 40)).astype(np.float32)
    kept = np.abs(weights.astype(float)) > 0.7 * weights.astype(float).std(ddof=1)
    found = pruners.masks({"w": weights}, "sensitivity", sparsity=0.7)["w"]
    assert np.array_equal(found, kept)


def test_weights_equal_to_the_threshold_go():
    assert counts({"w": [1.0, -1.0, 2.0, 3.0]}, 1.0, prepared={"w": 1.0}) == {"w": 2}


def test_q_may_exceed_one_and_differ_by_layer():
    model = {"a": np.array([FIGURE], np.float32), "b": np.array([FIGURE], np.float32)}
    found = pruners.masks(model, "sensitivity", sparsity={"a": 1.0, "b": 0.3})
    assert [int((~found[name]).sum()) for name in "ab"] == [6, 2]


def test_one_weight_stays_however_large_q_is():
    assert mask(FIGURE, 100.0).count(1) == 1
    assert counts({"w": [[5.0]]}, 100.0) == {"w": 0}


def test_a_single_weight_has_deviation_zero_not_nan():
    assert Sensitivity().prepare(View({"w": [[5.0]], "none": []})) == {"w": 0.0, "none": 0.0}


def test_equal_weights_stay():
    assert counts({"w": [0.1] * 7}, 2.0) == {"w": 0}


def test_all_zero_weights():
    assert counts({"w": [0.0] * 4}, 0.5) == {"w": 3}


def test_empty_layers():
    assert Sensitivity().allocate(View({"w": np.zeros((0, 3))}), 0.5) == {"w": 0.0}
    assert Sensitivity(target_sparsity=True).allocate(View({"w": np.zeros((0, 3))}), 0.5) == {"w": 0.0}


@pytest.mark.parametrize("options", [{}, {"mode": "nni"}, {"target_sparsity": True}])
def test_zero_prunes_nothing(options):
    assert counts({"w": [0.0, 0.0, 1.0]}, 0.0, **options) == {"w": 0}


def test_the_threshold_does_not_move_in_a_session():
    model = {"w": np.array([FIGURE], np.float32)}
    ramp = pruners.schedule("linear", stop=2, final_sparsity=0.5)
    pruning = pruners.attach(model, pruners.Rule(pruner="sensitivity", schedule=ramp))
    model["w"] *= np.where(model["w"] != 0, 100, 0)  # training moves the weights, not the measure
    model["w"][0, 3] = -0.2
    pruning.step()  # q = 0.25 of the old deviation is 0.306
    assert pruning.sparsity().total == 1 / 8
    model["w"][:] = [FIGURE]
    pruning.step()
    assert pruning.masks["w"].astype(int).tolist() == [KEPT]


def test_nni_reads_a_fraction():
    assert counts({"w": FIGURE}, 0.3, mode="nni") == {"w": 2}  # floor(8 * 0.3 * 1.2259)
    assert mask(FIGURE, 0.3, mode="nni") == [1, 1, 1, 0, 0, 1, 1, 1]


def test_nni_measures_anew_and_zeros_stay():
    assert Sensitivity(mode="nni").prepare(View({"w": FIGURE})) == {}
    pruned = [-2, -1, 0, 0, 0, 0, 1, 2]
    assert counts({"w": pruned}, 0.4, mode="nni") == {"w": 4}  # floor(8 * 0.4 * 1.195) = 3, 4 are zero
    assert counts({"w": pruned}, 0.6, mode="nni") == {"w": 5}


def test_nni_never_takes_everything():
    assert counts({"w": np.multiply(FIGURE, 100)}, 0.9, mode="nni") == {"w": 7}


def test_one_q_for_all_layers():
    wide, narrow = np.linspace(-1, 1, 20), np.r_[np.linspace(-0.1, 0.1, 18), -1, 1]
    found = counts({"wide": wide, "narrow": narrow}, 0.5, target_sparsity=True)
    assert sum(found.values()) == 20 and found["narrow"] > found["wide"] > 0


def test_ties_go_in_the_order_of_the_layers():
    layer = [1.0, -1.0, 1.0, -1.0]
    assert counts({"b": layer, "a": layer}, 0.25, target_sparsity=True) == {"b": 2, "a": 0}
    assert counts({"b": layer, "a": layer}, 0.5, target_sparsity=True) == {"b": 3, "a": 1}


def test_layers_without_deviation_come_last():
    weights = {"same": [0.1] * 4, "w": [1.0, 2.0, 3.0, 4.0]}
    assert counts(weights, 0.25, target_sparsity=True) == {"same": 0, "w": 2}
    assert counts(weights, 0.75, target_sparsity=True) == {"same": 3, "w": 3}


def test_zeros_go_first():
    weights = {"a": [1.0, 2.0, 3.0, 4.0], "b": [0.0, 0.0, 0.0, 9.0]}
    assert counts(weights, 0.25, target_sparsity=True) == {"a": 0, "b": 2}


def test_a_number_out_of_reach_takes_what_may_go():
    assert counts({"a": [[1.0]], "b": [[2.0]], "c": [1.0, 2.0]}, 0.9, target_sparsity=True) == {
        "a": 0,
        "b": 0,
        "c": 1,
    }


def test_a_target_in_a_session_is_reached_exactly():
    rng = np.random.default_rng(2)
    model = {name: rng.normal(size=(10, 13)) for name in "abc"}
    rule = pruners.Rule(
        pruner=pruners.pruner("sensitivity", target_sparsity=True),
        sparsity=0.77,
        schedule=pruners.schedule("agp", stop=4),
    )
    pruning = pruners.attach(model, rule)
    before = pruning.masks
    for _ in range(4):
        for weight in model.values():
            weight += 0.05 * rng.normal(size=weight.shape)
        pruning.step()
        assert all(not (pruning.masks[name] & ~before[name]).any() for name in model)
        before = pruning.masks
    assert pruning.sparsity().total == math.floor(0.77 * 390) / 390


TENTHS = st.integers(-80, 80).map(lambda x: x / 10)
WEIGHTS = arrays(np.float64, st.integers(1, 30), elements=TENTHS)


@settings(max_examples=100, deadline=None)
@given(st.lists(WEIGHTS, min_size=1, max_size=4), st.floats(0, 0.99))
def test_one_q_separates_what_goes_from_what_stays(layers, sparsity):
    weights = {str(index): layer for index, layer in enumerate(layers)}
    deviations = Sensitivity().prepare(View(weights))
    found = counts(weights, sparsity, target_sparsity=True)
    most = sum(weight.size - 1 for weight in layers)  # the largest of each layer stays
    assert sum(found.values()) == min(most, math.floor(sum(w.size for w in layers) * sparsity + 1e-9))
    gone, kept = [0.0], [math.inf]
    for name, weight in weights.items():
        sizes = np.sort(np.abs(weight.astype(float)))
        with np.errstate(divide="ignore", invalid="ignore"):
            away = np.where(sizes == 0, 0, sizes / deviations[name])
        gone += away[: found[name]].tolist()
        kept += away[found[name] : -1].tolist()
    assert max(gone) <= min(kept) * (1 + 1e-9)


@given(st.integers(1, 2**40), st.data())
def test_fractions_lead_back_to_the_count(n, data):
    k = data.draw(st.integers(0, n - 1))
    assert math.floor(_share(k, n) * n + 1e-9) == k


def test_scope_model_pools_the_counts():
    model = {"a": np.array([FIGURE]), "b": np.array([FIGURE]) * 10}
    found = pruners.masks(model, "sensitivity", sparsity=0.5, scope="model")
    assert [int((~found[name]).sum()) for name in "ab"] == [6, 2]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_torch_agrees_bit_for_bit(dtype):
    torch = pytest.importorskip("torch")
    pytest.importorskip("pruners_torch")
    weights = np.random.default_rng(3).normal(size=(16, 9)).astype(dtype)
    layer = torch.nn.Linear(9, 16, bias=False).to(getattr(torch, dtype))
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weights))
    for options, sparsity in [({}, 0.8), ({"mode": "nni"}, 0.5), ({"target_sparsity": True}, 0.6)]:
        pruner = pruners.pruner("sensitivity", **options)
        there = pruners.masks(layer, pruner, sparsity=sparsity)["weight"].numpy()
        here = pruners.masks({"weight": weights}, pruner, sparsity=sparsity)["weight"]
        assert np.array_equal(there, here)


@pytest.mark.parametrize(
    "wrong",
    [{"mode": "tf"}, {"std": "biased"}, {"target_sparsity": 0.5}, {"mode": "nni", "target_sparsity": True}],
)
def test_wrong_options_are_refused(wrong):
    with pytest.raises(pruners.OptionError, match=list(wrong)[-1]):
        pruners.pruner("sensitivity", **wrong)


@pytest.mark.parametrize(
    ("q", "options"), [(-0.1, {}), (math.inf, {}), (math.nan, {}), (1.0, {"target_sparsity": True})]
)
def test_wrong_strengths_are_refused(q, options):
    with pytest.raises(pruners.OptionError, match=f"got {q}"):
        Sensitivity(**options).allocate(View({"w": FIGURE}), q)
