"""Whole blocks: how they are pooled, counted, and what happens at the ends."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pruners_block import _block
from pruners_block._block import Block

import pruners
from pruners.selection import Ranking, choose_masks


def mask(array, sparsity, alive=None, magnitude=True, **options):
    return Block(**options).mask(Ranking("w", np.asarray(array, np.float32), magnitude, alive), sparsity)


def pooled(array, shape, pool):
    """Return each block's score, one block at a time."""
    shape = (*shape, *([1] * (array.ndim - len(shape))))
    counts = [-(-n // e) for n, e in zip(array.shape, shape, strict=True)]
    out = np.empty(counts)
    for index in np.ndindex(*counts):
        block = array[tuple(slice(i * e, (i + 1) * e) for i, e in zip(index, shape, strict=True))]
        out[index] = {"mean": block.mean(), "max": block.max(), "l2": np.sqrt((block**2).mean())}[pool]
    return out


W = [[1, 5, 2], [3, 1, 2]]


@pytest.mark.parametrize(
    ("sparsity", "kept"),
    [(0.3, [1, 1, 1]), (0.34, [0, 1, 1]), (0.66, [0, 1, 1]), (0.67, [0, 1, 0])],
)
def test_mean_blocks_by_hand(sparsity, kept):
    assert mask(W, sparsity, shape=(2, 1)).astype(int).tolist() == [kept, kept]  # means 2, 3, 2: a tie


@pytest.mark.parametrize(
    ("pool", "scores", "kept"),
    [("mean", [2, 3, 2], [0, 1, 1]), ("max", [3, 5, 2], [1, 1, 0]), ("l2", [5, 13, 4], [1, 1, 0])],
)
def test_the_pool_decides_which_block_is_lowest(pool, scores, kept):
    assert mask(W, 0.34, shape=(2, 1), pool=pool).astype(int).tolist() == [kept, kept]


def test_smaller_blocks_at_the_ends_are_pooled_over_what_they_have():
    w = [[4, 4, 3], [4, 4, 3], [1, 1, 5]]
    # means 4, 3; 1, 5: with zeros padded the last would be 1.25 and the second 1.5
    assert mask(w, 0.25, shape=(2, 2)).astype(int).tolist() == [[1, 1, 1], [1, 1, 1], [0, 0, 1]]
    assert mask(w, 0.5, shape=(2, 2)).astype(int).tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]


def test_signed_scores_pool_with_their_sign():
    w = [[-5.0, 1.0], [-5.0, 2.0]]
    assert mask(w, 0.5, shape=(2, 1), magnitude=False).astype(int).tolist() == [[0, 1], [0, 1]]
    assert mask(w, 0.5, shape=(2, 1), magnitude=True).astype(int).tolist() == [[1, 0], [1, 0]]


def test_a_convolution_has_blocks_at_each_kernel_position():
    w = np.abs(np.random.default_rng(0).standard_normal((8, 4, 3, 3)))
    found = mask(w, 0.5, shape=(4, 2))
    blocks = found.reshape(2, 4, 2, 2, 3, 3)
    assert (blocks.all(axis=(1, 3)) == blocks.any(axis=(1, 3))).all()
    assert blocks[:, 0, :, 0].sum() == 18


@settings(max_examples=60, deadline=None)
@given(
    shape=st.lists(st.integers(1, 9), min_size=2, max_size=4),
    extent=st.lists(st.integers(1, 4), min_size=1, max_size=2),
    pool=st.sampled_from(["mean", "max", "l2"]),
    seed=st.integers(0, 10**6),
    rows=st.sampled_from([1, 1 << 18]),
)
def test_masks_are_exact_nested_and_whole(shape, extent, pool, seed, rows):
    generator = np.random.default_rng(seed)
    pattern = Block(shape=tuple(extent), pool=pool)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_block, "_ROWS", rows)
        alive = None
        for sparsity in (0.0, 0.3, 0.5, 0.9):
            scores = np.round(np.abs(generator.standard_normal(shape)), 1)
            found = pattern.mask(Ranking("w", scores, True, alive), sparsity)
            pattern.check(found)
            blocks = pooled(scores, extent, pool)
            assert (~pooled(found.astype(float), extent, "max").astype(bool)).sum() == int(
                sparsity * blocks.size + 1e-9
            )
            if alive is None:
                order = np.argsort(blocks.ravel(), kind="stable")[: int(sparsity * blocks.size + 1e-9)]
                np.testing.assert_array_equal(
                    np.flatnonzero(pooled(found, extent, "max") == 0), np.sort(order)
                )
            else:
                assert (found <= alive).all()
            alive = found


def test_in_a_block_that_is_pruned_in_part_the_pruned_count_as_zero():
    alive = np.array([[False, True], [True, True]])
    found = mask([[9, 2], [3, 2]], 0.5, alive, shape=(2, 1))  # means 1.5 and 2
    assert found.astype(int).tolist() == [[0, 1], [0, 1]]
    found = mask([[9, 1], [3, 1]], 0.5, alive, shape=(2, 1))  # means 1.5 and 1: kept whole
    assert found.astype(int).tolist() == [[1, 0], [1, 0]]


@pytest.mark.parametrize("pool", ["mean", "max", "l2"])
def test_strides_do_not_matter(pool):
    x = np.round(np.random.default_rng(0).standard_normal((10, 7, 3)), 1)
    pattern = Block(shape=(4, 2), pool=pool)
    plain = pattern.mask(Ranking("w", x, True), 0.4)
    for view in (np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2], x[:, ::-1].copy()[:, ::-1]):
        np.testing.assert_array_equal(pattern.mask(Ranking("w", view, True), 0.4), plain)


def test_layers_with_too_few_axes_are_skipped_with_the_reason():
    chosen = choose_masks({"b": Ranking("b", np.ones(8))}, 0.5, pattern=Block())
    assert chosen.masks["b"].all()
    assert chosen.skipped == {"b": "blocks (4, 1) need as many axes; the shape is (8,)"}


def test_empty_layers_and_nan():
    assert mask(np.zeros((0, 4)), 0.5).shape == (0, 4)
    with pytest.raises(pruners.ScoreError, match="'w' is NaN at flat index 3"):
        mask([[1, 2], [3, np.nan]], 0.5)


def test_check_finds_blocks_kept_in_part():
    broken = np.array([[1, 1], [0, 1], [0, 0]], bool)
    with pytest.raises(pruners.PatternError, match=r"1 of 4 blocks \(2, 1\) are kept in part"):
        Block(shape=(2, 1)).check(broken)
    Block(shape=(2, 1)).check(np.array([[1, 0], [1, 0], [0, 1]], bool))
    Block(shape=(2, 1)).check(np.ones(3, bool))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": ()}, "'shape'"),
        ({"shape": (0, 1)}, "'shape"),
        ({"shape": (2.0, 1)}, "'shape"),
        ({"pool": "sum"}, "'pool' must be in"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(pruners.OptionError, match=message):
        pruners.pattern("block", **options)


def test_a_list_will_do_for_a_shape():
    assert Block(shape=[4, 4]) == Block(shape=(4, 4))
