"""Masks of pieces on several ranks, put together, are bit for bit those of one process."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pruners import OptionError, RankError, ScoreError
from pruners.selection import Ranking, choose_masks, select
from pruners.sharding.agreeing import agreed

from .cuts import all_well, boxes, even, joined, on_ranks, pieces

DTYPES = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]
SPECIAL = [0.0, -0.0, 1e-7, -1e-7, 1e-40, np.inf, -np.inf, 1.0, -1.0, 0.5]


@st.composite
def layers(draw, ranks, most=3):
    """Rankings with few or many ties, special values and any strides, and how each is cut."""
    found = []
    for index in range(draw(st.integers(1, most))):
        dtype = draw(st.sampled_from(DTYPES))
        shape = tuple(draw(st.lists(st.integers(0, 9), max_size=3)))
        random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        values = random.standard_normal(shape)
        if draw(st.booleans()):
            values = np.round(values)
        if draw(st.booleans()):
            values = np.where(random.random(shape) < 0.4, random.choice(SPECIAL, size=shape), values)
        scores = np.asarray(values).astype(dtype)
        scores = np.asarray(scores.transpose(draw(st.permutations(range(scores.ndim)))))
        if scores.ndim and draw(st.booleans()):
            scores = scores[::-1]
        alive = random.random(scores.shape) < 0.6 if draw(st.booleans()) else None
        scale = draw(st.sampled_from([1.0, 1.0, 2.5]))
        ranking = Ranking(f"l{index}", scores, draw(st.booleans()), alive, scale)
        found.append((ranking, draw(st.none() | boxes(scores.shape, ranks))))
    return found


def on_pieces(layers, ranks, choose):
    """Return `choose(rankings)`, a list of masks, put together from `ranks` ranks."""

    def work(peers):
        with agreed(peers) as together:
            return choose([r if cut is None else pieces(r, cut, together) for r, cut in layers])

    found = all_well(on_ranks(ranks, work))
    whole = []
    for index, (ranking, cut) in enumerate(layers):
        masks = [masks[index] for masks in found]
        if cut is None:
            assert all(np.array_equal(mask, masks[0]) for mask in masks)
            whole.append(masks[0])
        else:
            whole.append(joined(ranking.shape, cut, masks))
    return whole


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_select_gives_the_masks_of_one_process(data):
    ranks = data.draw(st.integers(1, 4))
    found = data.draw(layers(ranks))
    n = sum(ranking.size for ranking, _ in found)
    k = data.draw(st.integers(0, n))
    ties = data.draw(st.sampled_from(["lower", "upper", "keep", "prune"]))
    expected = select([ranking for ranking, _ in found], k, ties)
    for mask, one in zip(on_pieces(found, ranks, lambda r: select(r, k, ties)), expected, strict=True):
        assert np.array_equal(mask, one)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("kind", ["few ties", "zeros", "one value", "two values"])
@pytest.mark.parametrize("ties", ["lower", "upper"])
def test_layers_of_many_chunks(axis, kind, ties):
    random = np.random.default_rng(1)
    shape = (700, 1000)
    values = random.standard_normal(shape).astype("float32")
    if kind == "zeros":
        values[random.random(shape) < 0.8] = 0.0
    elif kind == "one value":
        values[...] = 3.0
    elif kind == "two values":
        values = np.sign(values)
    layers = [(Ranking("w", values, True), even(shape, axis, 3))]
    for k in (1, 123_457, 699_999):
        (mask,) = on_pieces(layers, 3, lambda rankings, k=k: select(rankings, k, ties))
        assert np.array_equal(mask, select([layers[0][0]], k, ties)[0])


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_choose_masks_gives_the_masks_of_one_process(data):
    ranks = data.draw(st.integers(1, 4))
    found = data.draw(layers(ranks))
    scope = data.draw(st.sampled_from(["layer", "model"]))
    options = {
        "scope": scope,
        "rounding": data.draw(st.sampled_from(["floor", "gt", "keep_ge", "keep_low", ("multiple", 4)])),
        "min_keep": data.draw(st.integers(0, 3)),
    }
    if scope == "layer":
        options["budget"] = data.draw(st.sampled_from(["uniform", "erk"]))
    else:
        options["normaliser"] = data.draw(st.sampled_from(["none", "l2", "mean", "max", "sum", "std"]))
    sparsity = data.draw(st.floats(0, 0.99))

    def choose(rankings):
        with np.errstate(invalid="ignore"):
            return list(choose_masks({r.name: r for r in rankings}, sparsity, **options).masks.values())

    try:
        expected = choose([ranking for ranking, _ in found])
    except (OptionError, ScoreError) as error:
        with pytest.raises(type(error)) as raised:
            on_pieces(found, ranks, choose)
        assert str(raised.value) == str(error)
        return
    for mask, one in zip(on_pieces(found, ranks, choose), expected, strict=True):
        assert np.array_equal(mask, one)


@pytest.mark.parametrize("size", [3_000, 3_000_000])
def test_bytes_sent_do_not_depend_on_the_model(size):
    random = np.random.default_rng(2)
    values = random.standard_normal((size // 100, 100)).astype("float32")
    values[random.random(values.shape) < 0.5] = 0.0
    layers = {"a": values, "b": values[::3]}

    def work(peers):
        rankings = {n: pieces(Ranking(n, a), even(a.shape, 0, 2), peers) for n, a in layers.items()}
        choose_masks(rankings, 0.4, scope="model")
        return peers.sent

    assert max(all_well(on_ranks(2, work))) < 200_000


def test_a_nan_on_one_rank_stops_all():
    scores = np.ones((8, 4), "float32")
    scores[7, 1] = np.nan

    def work(peers):
        with agreed(peers) as together:
            ranking = pieces(Ranking("w", scores), even(scores.shape, 0, 4), together)
            return choose_masks({"w": ranking}, 0.5, scope="model")

    *others, last = on_ranks(4, work)
    assert isinstance(last, ScoreError) and "NaN" in str(last)
    for rank, error in enumerate(others):
        assert isinstance(error, RankError)
        assert str(error) == f"rank 3 failed, see its own error; this rank, {rank}, is as it was"


@pytest.mark.parametrize("when", range(6))
def test_a_rank_that_fails_at_any_time_stops_all(when):
    def work(peers):
        with agreed(peers) as together:
            for step in range(6):
                if peers.rank == 1 and step == when:
                    raise KeyError("mine")
                together.gather(np.zeros(step)) if step % 2 else together.sum(np.zeros(step, np.int64))

    first, second, third = on_ranks(3, work, timeout=5)
    assert isinstance(second, KeyError)
    assert isinstance(first, RankError) and isinstance(third, RankError)


def test_ranks_that_do_different_work_are_told():
    def work(peers):
        with agreed(peers) as together:
            for _ in range(1 + peers.rank):
                together.sum(np.zeros(3, np.int64))

    for error in on_ranks(2, work, timeout=5):
        assert isinstance(error, RankError) and "different work" in str(error)
