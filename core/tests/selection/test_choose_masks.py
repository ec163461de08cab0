"""Scope, normalisers, budgets, least counts and patterns: how one number becomes masks."""

import attrs
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pruners import OptionError, PatternError, ScoreError, SkipLayer
from pruners.selection import (
    BUDGETS,
    NORMALISERS,
    SCOPES,
    Ranking,
    Selection,
    choose_masks,
    keep_per_group,
    layer_sparsities,
    normalise,
)


def ranking(name, values, **options):
    return Ranking(name, np.asarray(values, np.float32), True, **options)


def pool(*layers, **options):
    return {name: ranking(name, values, **options) for name, values in zip("abcdef", layers, strict=False)}


def kept(selection):
    return {name: mask.astype(int).tolist() for name, mask in selection.masks.items()}


def test_layers_are_ranked_alone_by_default():
    chosen = choose_masks(pool([1, 2, 3, 4], [10, 20, 30, 40]), 0.5)
    assert kept(chosen) == {"a": [0, 0, 1, 1], "b": [0, 0, 1, 1]}
    assert chosen.skipped == {}


def test_the_model_is_ranked_together():
    chosen = choose_masks(pool([1, 2, 3, 40], [10, 20, 30, 4]), 0.5, scope="model")
    assert kept(chosen) == {"a": [0, 0, 0, 1], "b": [1, 1, 1, 0]}


def test_equals_over_layers_go_from_the_earlier_layer_first():
    chosen = choose_masks(pool([1, 1, 1], [1, 1, 1]), 0.5, scope="model", min_keep=0)
    assert kept(chosen) == {"a": [0, 0, 0], "b": [1, 1, 1]}


def test_each_layer_can_have_its_own_sparsity():
    chosen = choose_masks(pool([1, 2, 3, 4], [1, 2, 3, 4]), {"b": 0.25, "a": 0.75})
    assert kept(chosen) == {"a": [0, 0, 0, 1], "b": [0, 1, 1, 1]}


@pytest.mark.parametrize("value", [1.0, -0.1, float("nan"), 2, "half", None])
def test_a_sparsity_outside_its_range_is_named(value):
    with pytest.raises(OptionError, match=f"sparsity is {value!r}; give the fraction"):
        choose_masks(pool([1, 2]), value)
    with pytest.raises(OptionError, match=f"sparsity is {value!r}; give the fraction"):
        choose_masks(pool([1, 2]), value, scope="model")
    with pytest.raises(OptionError, match=f"sparsity of 'a' is {value!r}"):
        choose_masks(pool([1, 2]), {"a": value})


@pytest.mark.parametrize(
    ("sparsity", "options", "message"),
    [
        ({"a": 0.5}, {}, "no entry for 'b'"),
        ({"a": 0.5, "b": 0.5, "x": 0.5}, {}, "names 'x', which is none of the layers a, b"),
        ({"a": 0.5, "b": 0.5}, {"budget": "erk"}, "budget is 'erk'"),
        ({"a": 0.5, "b": 0.5}, {"scope": "model"}, "takes one sparsity and no budget"),
        (0.5, {"scope": "model", "budget": "erk"}, "takes one sparsity and no budget"),
        (0.5, {"scope": "global"}, "scope is 'global'; choose from output, layer, model"),
        (0.5, {"scope": "output", "pattern": object()}, "a pattern says itself what competes"),
        (0.5, {"budget": "even"}, "budget is 'even'; choose from uniform, erk"),
        (0.5, {"normaliser": "l1"}, "normaliser is 'l1'; choose from none, l2"),
        (0.5, {"min_keep": -1}, "min_keep is -1"),
        (0.5, {"min_keep": 1.5}, "min_keep is 1.5"),
    ],
)
def test_options_that_contradict_are_refused(sparsity, options, message):
    with pytest.raises(OptionError, match=message):
        choose_masks(pool([1, 2], [1, 2]), sparsity, **options)


# What is not alive


@pytest.mark.parametrize("scope", SCOPES)
def test_pruned_weights_stay_pruned_and_count(scope):
    alive = np.array([[True, False, False, True, True, True]])
    layer = {"a": ranking("a", [[1, 9, 9, 2, 3, 4]], alive=alive)}
    assert kept(choose_masks(layer, 0.5, scope=scope)) == {"a": [[0, 0, 0, 1, 1, 1]]}
    assert kept(choose_masks(layer, 0.2, scope=scope)) == {"a": [[1, 0, 0, 1, 1, 1]]}
    assert kept(choose_masks(layer, 0.0, scope=scope)) == {"a": [[1, 0, 0, 1, 1, 1]]}


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    scope=st.sampled_from(SCOPES),
    normaliser=st.sampled_from(NORMALISERS),
)
def test_masks_are_nested_while_scores_change(seed, scope, normaliser):
    generator = np.random.default_rng(seed)
    alive = {"a": np.ones((6, 5), bool), "b": np.ones((4, 7, 2), bool)}
    for sparsity in (0.1, 0.35, 0.35, 0.2, 0.8):
        rankings = {
            name: Ranking(name, np.round(generator.standard_normal(a.shape), 1), True, a)
            for name, a in alive.items()
        }
        masks = choose_masks(rankings, sparsity, scope=scope, normaliser=normaliser).masks
        assert all((masks[name] <= alive[name]).all() for name in alive)
        alive = masks
    total = sum(m.size for m in masks.values())
    if scope == "model":
        assert sum(int(m.sum()) for m in masks.values()) == total - int(0.8 * total)


def test_the_masks_given_are_not_the_ones_returned():
    alive = np.array([True, False])
    chosen = choose_masks({"a": ranking("a", [1, 2], alive=alive)}, 0.1).masks["a"]
    chosen[:] = False
    assert alive.tolist() == [True, False]


def test_a_nan_is_found_even_when_nothing_has_to_be_pruned():
    for alive in (None, np.array([True, False])):
        with pytest.raises(ScoreError, match="'a' is NaN at flat index 1"):
            choose_masks({"a": ranking("a", [1, np.nan], alive=alive)}, 0.0)


# min_keep


def test_every_layer_keeps_its_best_and_the_count_stays():
    layers = pool([1, 2, 3, 4], [10, 20, 30, 40], [5, 50, 60, 70])
    chosen = kept(choose_masks(layers, 0.5, scope="model", min_keep=2))
    assert chosen == {"a": [0, 0, 1, 1], "b": [0, 0, 1, 1], "c": [0, 0, 1, 1]}
    assert sum(map(sum, chosen.values())) == 6
    assert choose_masks(layers, 0.5, scope="model", min_keep=0).masks["a"].sum() == 0


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 10**6), sparsity=st.floats(0, 0.99), min_keep=st.integers(0, 6))
def test_min_keep_equals_raising_each_layers_best_above_all(seed, sparsity, min_keep):
    generator = np.random.default_rng(seed)
    layers = {
        name: generator.permutation(100)[: generator.integers(1, 20)] * scale + generator.random()
        for name, scale in (("a", 0.01), ("b", 1.0), ("c", 10.0), ("d", 0.1))
    }
    n = sum(map(len, layers.values()))
    k = int(np.floor(sparsity * n + 1e-9))
    raised = []
    for values in layers.values():
        best = np.argsort(values)[::-1][:min_keep]
        up = values.copy()
        up[best] += 1e6
        raised.append(up)
    rankings = {name: Ranking(name, values) for name, values in layers.items()}
    if k > n - sum(min(min_keep, len(v)) for v in layers.values()):
        with pytest.raises(OptionError, match="lower sparsity or min_keep"):
            choose_masks(rankings, sparsity, scope="model", min_keep=min_keep)
        return
    chosen = choose_masks(rankings, sparsity, scope="model", min_keep=min_keep).masks
    every = np.concatenate(raised)
    order = np.argsort(every, kind="stable")
    mask = np.ones(n, bool)
    mask[order[:k]] = False
    np.testing.assert_array_equal(np.concatenate(list(chosen.values())), mask)


def test_min_keep_that_cannot_be_is_said_with_its_numbers():
    with pytest.raises(
        OptionError, match=r"0\.9 prunes 7 of 8 weights, but min_keep=1 in 2 layers leaves only 6"
    ):
        choose_masks(pool([1, 2, 3, 4], [1, 2, 3, 4]), 0.9, scope="model")


# Normalisers


def scale_of(name, values):
    v = np.abs(np.asarray(values, np.float64))
    return {"l2": np.sqrt((v**2).sum()), "mean": v.mean(), "max": v.max(), "sum": v.sum(), "std": v.std()}[
        name
    ]


@pytest.mark.parametrize("name", ["l2", "mean", "max", "sum", "std"])
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
def test_scales_are_the_plain_formulas(name, dtype):
    values = np.random.default_rng(0).standard_normal((7, 5, 3)).astype(dtype).transpose(2, 0, 1)
    scaled = normalise(Ranking("w", values, True), name)
    np.testing.assert_allclose(scaled.scale, scale_of(name, values.astype(np.float64)), rtol=1e-12)


@pytest.mark.parametrize("name", ["l2", "mean", "max", "sum", "std", "lamp"])
def test_layers_compare_by_what_they_are_divided_by(name):
    layers = {"a": np.array([1.0, 2.0, 3.0, 5.0]), "b": np.array([100.0, 200.0, 250.0, 300.0])}
    chosen = choose_masks(
        {key: Ranking(key, v, True) for key, v in layers.items()}, 0.5, scope="model", normaliser=name
    ).masks
    if name == "lamp":
        scores = [v**2 / np.cumsum((v**2)[::-1])[::-1] for v in layers.values()]
    else:
        scores = [v / scale_of(name, v) for v in layers.values()]
    order = np.argsort(np.concatenate(scores), kind="stable")
    mask = np.ones(8, bool)
    mask[order[:4]] = False
    np.testing.assert_array_equal(np.concatenate(list(chosen.values())), mask)


def test_lamp_by_hand():
    scores = normalise(ranking("w", [[2.0, -1.0], [0.0, 2.0]]), "lamp").values()
    np.testing.assert_allclose(scores, [[4 / 8, 1 / 9], [0, 1]])


def test_a_layer_of_zeros_and_an_empty_layer_can_be_normalised():
    for name in NORMALISERS:
        assert normalise(ranking("w", [0.0, 0.0]), name).values().tolist() == [0.0, 0.0]
        assert normalise(ranking("w", np.zeros((0, 3))), name).values().shape == (0, 3)


def test_pruned_weights_count_as_zero_in_a_scale():
    alive = np.array([True, True, False])
    assert normalise(ranking("w", [3, 4, 12], alive=alive), "l2").scale == 5.0


@pytest.mark.parametrize("name", [n for n in NORMALISERS if n != "none"])
def test_normalisers_find_nan_and_infinity(name):
    with pytest.raises(ScoreError, match="NaN at flat index 2"):
        normalise(ranking("w", [1, 2, np.nan]), name)
    if name not in ("std", "lamp"):
        with pytest.raises(ScoreError, match=f"'{name}' of the scores of 'w' is inf"):
            normalise(ranking("w", [1, np.inf]), name)


def test_lamp_refuses_negative_scores():
    with pytest.raises(ScoreError, match="'lamp' squares the scores, and 'w' has one below 0"):
        normalise(Ranking("w", np.array([1.0, -1.0])), "lamp")


# Budgets


def test_erk_gives_every_layer_its_share_and_the_asked_total():
    shapes = {"conv": (64, 32, 3, 3), "point": (128, 64, 1, 1), "dense": (10, 128)}
    spread = layer_sparsities(shapes, 0.9, "erk")
    sizes = {name: int(np.prod(shape)) for name, shape in shapes.items()}
    raw = {name: sum(shape) / sizes[name] for name, shape in shapes.items()}
    density = {name: 1 - s for name, s in spread.items()}
    open_ = [name for name in shapes if density[name] < 0.999]
    assert len({round(density[name] / raw[name], 6) for name in open_}) == 1
    want = sum(n - int(0.9 * n + 1e-9) for n in sizes.values())
    assert sum(density[name] * sizes[name] for name in shapes) == pytest.approx(want)


def test_erk_solves_again_when_a_layer_would_be_more_than_dense():
    spread = layer_sparsities({"small": (2, 2), "large": (100, 100)}, 0.5, "erk")
    assert spread["small"] == 0.0
    assert spread["large"] == pytest.approx(1 - (2 + 5000 - 4) / 10_000)


def test_uniform_and_erk_are_all_there_is():
    assert BUDGETS == ("uniform", "erk")
    assert layer_sparsities({"a": (2, 2)}, 0.25) == {"a": 0.25}
    assert layer_sparsities({}, 0.5, "erk") == {}


@given(
    shapes=st.lists(st.lists(st.integers(0, 30), max_size=4).map(tuple), max_size=5),
    sparsity=st.floats(0, 0.999),
)
def test_erk_is_always_a_sparsity(shapes, sparsity):
    spread = layer_sparsities(dict(enumerate(shapes)), sparsity, "erk")
    assert all(0 <= s < 1 for s in spread.values())


# Patterns


@attrs.frozen
class Halves:
    """Keep 1 of 2, whatever is asked; one layer is refused, and what was asked is remembered."""

    asked: dict = attrs.field(factory=dict)

    def mask(self, ranking, sparsity):
        if ranking.name == "b":
            raise SkipLayer("it is b")
        self.asked[ranking.name] = sparsity
        return keep_per_group(ranking, 2, 1, axis=0)

    def check(self, mask):
        raise PatternError("not used")


def test_a_pattern_decides_and_may_skip_a_layer():
    chosen = choose_masks(pool([1, 2, 3, 4], [1, 2]), 0.25, pattern=Halves())
    assert kept(chosen) == {"a": [0, 1, 0, 1], "b": [1, 1]}
    assert chosen.skipped == {"b": "it is b"}


def test_a_skipped_layer_keeps_the_mask_it_had():
    alive = np.array([True, False])
    chosen = choose_masks({"b": ranking("b", [1, 2], alive=alive)}, 0.25, pattern=Halves())
    assert kept(chosen) == {"b": [1, 0]}


def test_with_scope_model_the_pool_gives_each_layer_its_share():
    pattern = Halves()
    choose_masks(pool([1, 2, 3, 40], [9, 9], [10, 20, 30, 4]), 0.4, scope="model", pattern=pattern)
    assert pattern.asked == {"a": 0.75, "c": 0.25}


def test_selection_is_a_plain_value():
    assert Selection({}, {"a": "why"}) == Selection({}, {"a": "why"})
    assert choose_masks({}, 0.5) == Selection({})
    assert choose_masks({}, 0.5, scope="model") == Selection({})
