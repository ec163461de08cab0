"""The one-call functions: exact counts, options that combine, and errors that change nothing."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import pruners

W = np.array([[3.0, -1.0, 0.25], [0.5, -2.0, 4.0]])


def test_scores_masks_and_prune_agree():
    model = {"w": W.copy()}
    np.testing.assert_array_equal(pruners.scores(model, "level")["w"], np.abs(W))
    mask = pruners.masks(model, "level", sparsity=0.5)["w"]
    assert mask.dtype == bool and mask.tolist() == [[True, False, False], [False, True, True]]
    np.testing.assert_array_equal(model["w"], W)
    pruners.prune(model, "level", sparsity=0.5)
    np.testing.assert_array_equal(model["w"], np.where(mask, W, 0))


def test_scope_model_pools_layers_and_normalisers_compare_them():
    model = {"small": np.array([[1.0, 2.0]]), "large": np.array([[10.0, 20.0]])}
    plain = pruners.masks(model, "level", sparsity=0.5, scope="model", min_keep=0)
    assert [plain["small"].tolist(), plain["large"].tolist()] == [[[False, False]], [[True, True]]]
    kept = pruners.masks(model, "level", sparsity=0.5, scope="model", min_keep=1)
    assert [kept["small"].tolist(), kept["large"].tolist()] == [[[False, True]], [[False, True]]]
    scaled = pruners.masks(model, "level", sparsity=0.5, scope="model", normaliser="l2")
    assert [scaled["small"].tolist(), scaled["large"].tolist()] == [[[False, True]], [[False, True]]]


def test_rounding_is_a_named_option():
    model = {"w": np.arange(1.0, 8.0).reshape(1, 7)}
    pruned = {
        rule: int((~pruners.masks(model, "level", sparsity=0.5, rounding=rule)["w"]).sum())
        for rule in ("floor", "round", "keep_floor", "keep_ceil")
    }
    assert pruned == {"floor": 3, "round": 4, "keep_floor": 4, "keep_ceil": 3}


def test_a_sparsity_per_parameter():
    model = {
        "a": np.arange(1.0, 5.0).reshape(1, 4),
        "b": np.arange(1.0, 5.0).reshape(1, 4),
        "c": np.ones((2, 2)),
    }
    masks = pruners.masks(model, "level", sparsity={"a": 0.25, "b": 0.75})
    assert {name: int((~mask).sum()) for name, mask in masks.items()} == {"a": 1, "b": 3}


def test_the_erk_budget_keeps_small_layers_denser():
    model = {
        "small": np.random.default_rng(0).random((8, 8)),
        "large": np.random.default_rng(1).random((64, 64)),
    }
    masks = pruners.masks(model, "level", sparsity=0.8, budget="erk")
    rates = {name: (~mask).mean() for name, mask in masks.items()}
    assert rates["small"] < 0.8 < rates["large"]


def test_prune_takes_rules_and_their_end():
    model = {"a": W.copy(), "b": W.copy()}
    ramp = pruners.schedule("linear", start=0, stop=10, every=1)
    pruners.prune(model, [pruners.Rule(sparsity=0.5, schedule=ramp), pruners.Rule("b", exclude=True)])
    assert (model["a"] == 0).sum() == 3 and (model["b"] == 0).sum() == 0


@pytest.mark.parametrize("value", [np.nan, 1.0, 1.5, -0.1])
def test_a_sparsity_outside_zero_to_one_is_refused(value):
    model = {"w": W.copy()}
    with pytest.raises((pruners.OptionError, pruners.RuleError), match=str(value)):
        pruners.prune(model, "level", sparsity=value)
    np.testing.assert_array_equal(model["w"], W)


def test_nan_weights_are_refused_with_plugin_layer_and_place():
    model = {"good": W.copy(), "bad": W.copy()}
    model["bad"][1, 0] = np.nan
    before = copy.deepcopy(model)
    with pytest.raises(pruners.ScoreError, match=r"pruner 'level'.*'bad'.*3"):
        pruners.prune(model, "level", sparsity=0.5)
    np.testing.assert_array_equal(model["good"], before["good"])


class Returns:
    """Returns whatever it was given."""

    unit = "weight"

    def __init__(self, value):
        self.value = value

    def scores(self, view):
        return self.value(view)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (lambda view: None, pruners.ScoreError, "returned NoneType, not a mapping"),
        (lambda view: {}, pruners.ScoreError, "no scores for 'w'"),
        (lambda view: dict(view.weights, x=1), pruners.ScoreError, "scores for unknown layer 'x'"),
        (lambda view: {"w": np.ones(3)}, pruners.ScoreError, r"shape \(3,\), weights \(2, 3\)"),
        (
            lambda view: {"w": np.ones((2, 3), int)},
            pruners.ScoreError,
            "scores are int64, they must be floats",
        ),
        (lambda view: {"w": view.weights["v"]}, pruners.PrunerFailed, "KeyError: 'v'"),
        (lambda view: {"w": view.weights["w"].fill(0)}, pruners.PrunerFailed, "read-only"),
    ],
)
def test_scores_are_checked(value, error, message):
    model = {"w": W.copy()}
    with pytest.raises(error, match=f"pruner 'Returns'.*{message}"):
        pruners.prune(model, Returns(value), sparsity=0.5)
    np.testing.assert_array_equal(model["w"], W)


def test_what_is_not_a_pruner_is_refused():
    class NoUnit:
        def scores(self, view):
            return dict(view.weights)

    with pytest.raises(pruners.OptionError, match="must have unit = 'weight' or 'channel'.*None"):
        pruners.masks({"w": W}, NoUnit(), sparsity=0.5)


def test_a_one_axis_array_must_be_named_in_full():
    model = {"w": np.array([1.0, 2.0])}
    with pytest.raises(pruners.RuleError, match="Name 'w' in full"):
        pruners.masks(model, "level", sparsity=0.5)
    assert pruners.masks(model, "level", sparsity=0.5, match="w")["w"].tolist() == [False, True]
