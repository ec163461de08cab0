"""Scope "output": so many of every output's weights, exactly."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pruners
from pruners import OptionError, RuleError, ScoreError
from pruners.selection import RULES, Ranking, choose_masks, rounding_rule

DTYPES = (np.float16, ml_dtypes.bfloat16, np.float32, np.float64)


def kept(scores, sparsity, **options):
    ranking = Ranking("w", np.asarray(scores, np.float32), True, options.pop("alive", None))
    return choose_masks({"w": ranking}, sparsity, scope="output", **options).masks["w"].astype(int).tolist()


def by_hand(scores, alive, k, ties):
    """Return the mask of one row, weight by weight."""
    order = sorted(range(len(scores)), key=lambda i: (bool(alive[i]), float(scores[i]), i))
    if k <= np.count_nonzero(~alive):
        return alive.copy()
    cut = order[k - 1]
    equal = [i for i in order if alive[i] == alive[cut] and scores[i] == scores[cut]]
    below = order[: order.index(equal[0])]
    gone = {
        "lower": order[:k],
        "upper": below + equal[::-1][: k - len(below)],
        "keep": order[:k] if order[k - 1] == equal[-1] else below,
        "prune": below + equal,
    }[ties]
    mask = np.ones(len(scores), bool)
    mask[gone] = False
    return mask


def test_rows_compete_among_themselves():
    scores = [[1, 2, 3, 4], [40, 30, 20, 10]]
    assert kept(scores, 0.5) == [[0, 0, 1, 1], [1, 1, 0, 0]]
    assert kept(scores, 0.74) == [[0, 0, 1, 1], [1, 1, 0, 0]]
    assert kept(scores, 0.75) == [[0, 0, 0, 1], [1, 0, 0, 0]]


def test_a_row_is_rounded_by_itself():
    # 0.5 of three is one in each of the rows, and four of nine would be three in scope "layer" too.
    assert np.sum(kept(np.ones((3, 3)), 0.5)) == 6
    assert np.sum(kept(np.ones((3, 3)), 0.5, rounding="keep_ceil")) == 9  # every row keeps its ties
    assert np.sum(kept(np.ones((3, 3)), 0.5, rounding=("multiple", 3))) == 9


def test_equals_go_from_the_lower_index_of_their_row():
    assert kept([[1, 1, 1], [1, 1, 1]], 0.67) == [[0, 0, 1], [0, 0, 1]]
    assert kept([[1, 1, 1], [1, 1, 1]], 0.34, rounding="keep_low") == [[1, 1, 0], [1, 1, 0]]


def test_a_row_that_has_lost_more_keeps_what_it_has_left():
    alive = np.array([[False, False, True, True], [True, True, True, True]])
    assert kept([[9, 9, 1, 2], [4, 3, 2, 1]], 0.25, alive=alive) == [[0, 0, 1, 1], [1, 1, 1, 0]]


@pytest.mark.parametrize("shape", [(), (3,), (0, 4), (4, 0), (2, 0, 3)])
def test_layers_without_rows_to_speak_of_stay_dense(shape):
    assert np.all(kept(np.ones(shape), 0.9)) and np.shape(kept(np.ones(shape), 0.9))[:1] == shape[:1]


def test_a_nan_is_named_by_its_place_in_the_layer():
    for rounding in ("floor", "gt"):
        for sparsity in (0.0, 0.5):
            with pytest.raises(ScoreError, match="'w' is NaN at flat index 3"):
                kept([[1, 2], [3, np.nan]], sparsity, rounding=rounding)


@settings(max_examples=150, deadline=None)
@given(
    shape=st.lists(st.integers(1, 6), min_size=2, max_size=4).map(tuple),
    wide=st.booleans(),
    sparsity=st.floats(0, 0.99),
    rounding=st.sampled_from(sorted(RULES)),
    dtype=st.sampled_from(DTYPES),
    dead=st.floats(0, 0.8),
    seed=st.integers(0, 10**6),
    layout=st.sampled_from(["C", "F", "back"]),
)
def test_every_row_is_what_selection_gives_it_alone(
    shape, wide, sparsity, rounding, dtype, dead, seed, layout
):
    draw = np.random.default_rng(seed)
    shape = (*shape, 20) if wide else shape  # both kernels: rows of a few weights, and of more
    scores = np.round(draw.normal(size=shape), 1).astype(dtype)
    scores = {"C": scores, "F": np.asfortranarray(scores), "back": scores[:, ::-1].copy()[:, ::-1]}[layout]
    alive = draw.random(shape) >= dead
    ranking = Ranking("w", scores, True, alive)
    found = choose_masks({"w": ranking}, sparsity, scope="output", rounding=rounding).masks["w"]
    k, ties = rounding_rule(rounding)(scores[0].size, sparsity)
    for row, values, living in zip(found, np.abs(scores.astype(np.float64)), alive, strict=True):
        expected = by_hand(values.ravel(), living.ravel(), k, ties)
        np.testing.assert_array_equal(row.ravel(), expected)
        if ties == "lower":
            assert np.count_nonzero(~row) == max(k, np.count_nonzero(~living))


# Through the front door


def model():
    draw = np.random.default_rng(5)
    return {"a": draw.normal(size=(4, 10)), "b": draw.normal(size=(3, 2, 3, 3)) * 100}


def test_a_rule_prunes_every_output_alike():
    pruned = pruners.prune(model(), "level", sparsity=0.5, scope="output")
    assert [np.count_nonzero(row == 0) for row in pruned["a"]] == [5] * 4
    assert [np.count_nonzero(row == 0) for row in pruned["b"]] == [9] * 3


def test_each_layer_can_have_its_own_sparsity_and_a_budget_its_say():
    pruned = pruners.prune(model(), pruners.Rule(sparsity={"a": 0.3, "b": 0.5}, scope="output"))
    assert [np.count_nonzero(row == 0) for row in pruned["a"]] == [3] * 4
    shared = pruners.masks(model(), "level", sparsity=0.5, scope="output", budget="erk")
    assert all(len({int(row.sum()) for row in mask}) == 1 for mask in shared.values())


def test_a_session_and_a_recipe_take_it():
    arrays = model()
    recipe = pruners.recipe(
        {"rules": [{"scope": "output", "sparsity": 0.8, "schedule": {"name": "linear", "stop": 3}}]}
    )
    pruning = pruners.attach(arrays, recipe.rules)
    before = {name: np.ones(each.shape, bool) for name, each in arrays.items()}
    for step in (1, 2, 3):
        pruning.step()
        for name, mask in pruning.masks.items():
            assert (mask <= before[name]).all()
            assert {int((~row).sum()) for row in mask} == {int(0.8 * step / 3 * mask[0].size + 1e-9)}
        before = dict(pruning.masks)


def test_a_pruner_that_decides_amounts_is_asked():
    class Half:
        unit = "weight"

        def scores(self, view):
            return {name: view.ops.abs(weight) for name, weight in view.weights.items()}

        def allocate(self, view, sparsity):
            return {"a": sparsity, "b": sparsity / 2}

    masks = pruners.masks(model(), Half(), sparsity=0.8, scope="output")
    assert {int((~row).sum()) for row in masks["a"]} == {8}
    assert {int((~row).sum()) for row in masks["b"]} == {7}


class Whole:
    unit = "channel"

    def scores(self, view):
        return {name: view.ops.sum(view.ops.abs(w), axis=1) for name, w in view.weights.items()}


def test_what_makes_no_sense_with_it_is_refused():
    with pytest.raises(RuleError, match="a pattern says itself what competes and how many go"):
        pruners.Rule(sparsity=0.5, scope="output", pattern="nm")
    with pytest.raises(RuleError, match="'Whole' scores whole channels, of which an output has one"):
        pruners.masks({"a": np.ones((3, 4))}, Whole(), sparsity=0.5, scope="output")
    with pytest.raises(RuleError, match="'scope' must be in"):
        pruners.Rule(sparsity=0.5, scope="row")
    with pytest.raises(OptionError, match="scope is 'row'"):
        choose_masks({}, 0.5, scope="row")
