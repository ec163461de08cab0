"""Pruners of whole channels: checked scores, exact masks, sessions, errors that change nothing."""

from __future__ import annotations

import numpy as np
import pytest
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

import pruners
from pruners.registry import backend_for
from pruners.scoring import Scorer, as_pruner
from pruners.selection.channels import living_channels


@frozen
class Sums:
    """Scores a channel by the sum of its absolute weights."""

    unit: str = "channel"

    def scores(self, view):
        return {
            name: view.ops.sum(view.ops.abs(w), axis=tuple(range(1, w.ndim)))
            for name, w in view.weights.items()
        }


@frozen
class Given:
    """Returns what it was made with."""

    found: object
    unit: str = "channel"

    def scores(self, view):
        return self.found


def model():
    return {
        "a": np.array([[1.0, -1.0], [5.0, 0.0], [0.5, 0.5], [0.0, 3.0]]),
        "b": np.arange(1.0, 9.0).reshape(2, 1, 2, 2),
    }


def scorer(pruner, arrays=None, names=("a", "b")):
    arrays = model() if arrays is None else arrays
    return Scorer(backend_for(arrays).open(arrays), as_pruner(pruner), names)


def test_scores_are_one_per_channel():
    scores = pruners.scores(model(), Sums())
    assert {name: each.tolist() for name, each in scores.items()} == {
        "a": [2.0, 5.0, 1.0, 3.0],
        "b": [10.0, 26.0],
    }


def test_masks_are_of_whole_channels_in_the_shape_of_the_weights():
    masks = pruners.masks(model(), Sums(), sparsity=0.5)
    assert masks["a"].tolist() == [[False] * 2, [True] * 2, [False] * 2, [True] * 2]
    assert masks["b"].shape == (2, 1, 2, 2)
    assert not masks["b"][0].any() and masks["b"][1].all()


def test_prune_sets_whole_channels_to_zero():
    arrays = model()
    pruners.prune(arrays, Sums(), sparsity=0.25)
    assert arrays["a"].tolist() == [[1.0, -1.0], [5.0, 0.0], [0.0, 0.0], [0.0, 3.0]]
    np.testing.assert_array_equal(arrays["b"], model()["b"])


def test_ties_fall_to_the_lower_channel():
    masks = pruners.masks({"w": np.ones((5, 3))}, Sums(), sparsity=0.4)
    assert masks["w"][:, 0].tolist() == [False, False, True, True, True]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 7), st.integers(1, 3)), min_size=1, max_size=3),
    st.floats(0, 0.99),
    st.integers(0, 5),
)
def test_counts_are_exact_and_masks_whole(shapes, sparsity, seed):
    draw = np.random.default_rng(seed)
    arrays = {str(i): draw.integers(-2, 3, shape).astype(np.float32) for i, shape in enumerate(shapes)}
    for mask in pruners.masks(arrays, Sums(), sparsity=sparsity).values():
        assert ((mask.all(axis=1)) | (~mask.any(axis=1))).all()
        assert (~mask.any(axis=1)).sum() == int(sparsity * len(mask) + 1e-9)


def test_scope_model_pools_channels_and_leaves_every_layer_one():
    arrays = {"small": np.array([[1.0], [2.0]]), "large": np.array([[10.0], [20.0], [30.0]])}
    masks = pruners.masks(arrays, Sums(), sparsity=0.6, scope="model", min_keep=0)
    assert {name: mask.ravel().tolist() for name, mask in masks.items()} == {
        "small": [False, True],
        "large": [False, False, True],
    }
    scaled = pruners.masks(arrays, Sums(), sparsity=0.4, scope="model", normaliser="max")
    assert {name: mask.ravel().tolist() for name, mask in scaled.items()} == {
        "small": [False, True],
        "large": [False, True, True],
    }


@pytest.mark.parametrize("rounding", ["gt", "le_kth", "keep_floor"])
def test_no_rounding_takes_the_last_channel(rounding):
    mask = pruners.masks({"w": np.ones((3, 2))}, Sums(), sparsity=0.7, rounding=rounding)["w"]
    assert mask.any(axis=1).sum() == 1


def test_a_session_keeps_channels_zero_and_resumes():
    ramp = pruners.schedule("linear", start=0, stop=2)
    rule = pruners.Rule("a", pruner=Sums(), sparsity=0.5, schedule=ramp)
    arrays = model()
    pruning = pruners.attach(arrays, rule)
    pruning.step()
    assert living_channels(pruning.masks["a"]).tolist() == [True, True, False, True]
    state = pruning.state_dict()
    arrays["a"] += 1.0
    pruning.step()
    assert living_channels(pruning.masks["a"]).tolist() == [False, True, False, True]
    np.testing.assert_array_equal(arrays["a"][2], 0)
    again = pruners.attach(model(), rule)
    again.load_state_dict(state)
    assert living_channels(again.masks["a"]).tolist() == [True, True, False, True]


def test_restored_zeros_stay_zero_inside_living_channels():
    rule = pruners.Rule("a", pruner=Sums(), sparsity=0.25, schedule=pruners.schedule("constant", at=1))
    pruning = pruners.attach(model(), rule, restore=True)
    pruning.step()
    assert pruning.masks["a"].astype(int).tolist() == [[1, 1], [1, 0], [0, 0], [0, 1]]


def test_the_scan_prunes_whole_channels():
    kept = []

    def evaluate(arrays):
        kept.append(np.count_nonzero(np.abs(arrays["a"]).sum(axis=1)))
        return 1.0

    found = pruners.sensitivity(model(), evaluate, pruner=Sums(), sparsities=[0.25, 0.5], layers="a")
    assert kept == [4, 3, 2]
    assert found.layers[0].reached == (0.25, 0.5)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([1.0], "returned list, not a mapping"),
        ({"a": np.ones(4)}, "no scores for 'b'"),
        ({"a": np.ones(4), "b": np.ones(2), "c": np.ones(2)}, "unknown layer 'c'"),
        (
            {"a": np.ones((4, 2)), "b": np.ones(2)},
            r"'a': scores have shape \(4, 2\), its output channels",
        ),
        ({"a": np.ones(4, int), "b": np.ones(2)}, "layer 'a': scores are int64, they must be floats"),
        (
            {"a": np.array([1.0, np.nan, 0, 0]), "b": np.ones(2)},
            "'Given', score of 'a' is NaN at",
        ),
    ],
)
def test_wrong_scores_are_refused(found, said):
    arrays = model()
    for ask in (
        lambda: scorer(Given(found), arrays).channel_scores(),
        lambda: pruners.prune(arrays, Given(found), sparsity=0.5),
    ):
        with pytest.raises(pruners.ScoreError, match=said):
            ask()
    for name, array in model().items():
        np.testing.assert_array_equal(arrays[name], array)


def test_channel_scores_are_float64():
    found = scorer(Given({"a": np.arange(4, dtype=np.float16), "b": np.ones(2, np.float32)})).channel_scores()
    assert {name: (each.dtype, each.tolist()) for name, each in found.items()} == {
        "a": (np.float64, [0.0, 1.0, 2.0, 3.0]),
        "b": (np.float64, [1.0, 1.0]),
    }


def test_a_pruner_of_weights_gives_channels_the_mean_of_their_scores():
    assert scorer("level").channel_scores()["a"].tolist() == [1.0, 2.5, 0.5, 1.5]
    assert scorer("level", {"a": np.ones((2, 0))}, ("a",)).channel_scores()["a"].tolist() == [0.0, 0.0]


def test_a_layer_without_channels_is_refused():
    arrays = {"s": np.array(1.0)}
    with pytest.raises(pruners.ScoreError, match="layer 's' has no channels"):
        pruners.masks(arrays, Given({"s": np.array(1.0)}), match="s", sparsity=0.5)


@pytest.mark.parametrize(
    ("part", "said"), [({"pattern": "nm"}, "leave pattern out"), ({"budget": "erk"}, "single weights")]
)
def test_parts_for_single_weights_are_refused(part, said):
    with pytest.raises(pruners.RuleError, match=said):
        pruners.masks(model(), Sums(), sparsity=0.5, **part)


def test_the_scan_refuses_a_pattern():
    with pytest.raises(pruners.RuleError, match="leave pattern out"):
        pruners.sensitivity(model(), lambda _: 1.0, pruner=Sums(), pattern="nm")


@frozen
class Repairs(Sums):
    """Changes weights once channels are gone."""

    changes: object = None

    def adjust(self, view, kept):
        return self.changes


def test_adjustments_are_checked_and_not_written():
    arrays = model()
    kept = {"a": np.ones(4, bool), "b": np.ones(2, bool)}
    new = scorer(Repairs(changes={"b": 2 * arrays["b"]}), arrays).adjustments(kept)
    np.testing.assert_array_equal(new["b"], 2 * model()["b"])
    np.testing.assert_array_equal(arrays["b"], model()["b"])
    assert scorer(Sums()).adjustments(kept) == {}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"c": np.ones(2)}, "adjusts 'c', which is no parameter"),
        ({"b": np.ones(2)}, r"give floats of shape \(2, 1, 2, 2\)"),
        ({"b": np.ones((2, 1, 2, 2), int)}, "int64"),
        ({"b": np.full((2, 1, 2, 2), np.inf)}, "not all finite"),
    ],
)
def test_wrong_adjustments_are_refused(changes, said):
    with pytest.raises(pruners.ScoreError, match=said):
        scorer(Repairs(changes=changes)).adjustments({})


def test_a_recording_is_refused_where_there_is_none():
    class Activated(Sums):
        def scores(self, view):
            return dict(view.activated())

    with pytest.raises(pruners.NeedsData, match="cannot be recorded"):
        pruners.masks(model(), Activated(), sparsity=0.5, data=[1])
