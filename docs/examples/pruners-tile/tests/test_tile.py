"""What is special to tiles: padding, whole kernels, what is pruned already."""

import numpy as np
import pytest
from pruners_tile._tile import Tile

import pruners
from pruners.selection import Ranking, choose_masks


def mask(scores, sparsity, alive=None, **options):
    return Tile(**options).mask(Ranking("w", np.asarray(scores, np.float32), alive=alive), sparsity)


def test_a_tile_takes_whole_kernels_with_it():
    scores = np.random.default_rng(0).normal(size=(6, 4, 3, 3))
    found = mask(scores, 0.5, size=2)
    sums = np.abs(scores).reshape(3, 2, 2, 2, 9).sum(axis=(1, 3, 4))
    kept = found.reshape(3, 2, 2, 2, 9)
    assert (kept.all(axis=(1, 3, 4)) == kept.any(axis=(1, 3, 4))).all()
    assert set(np.argsort(sums, axis=None)[:3]) == set(np.flatnonzero(~kept.all(axis=(1, 3, 4))))


def test_tiles_of_one_are_kernels():
    found = mask([[[1, 1], [3, 0]], [[2, 2], [0, 1]]], 0.5, size=1)
    assert found[:, :, 0].astype(int).tolist() == [[0, 1], [1, 0]]


def test_padding_counts_as_zero_so_edges_go_first():
    assert mask(np.ones((3, 3)), 0.25, size=2).astype(int).tolist() == [[1, 1, 1], [1, 1, 1], [1, 1, 0]]
    assert mask(np.ones((3, 3)), 0.75, size=2).astype(int).tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]


def test_equal_tiles_go_from_the_lower_index():
    assert mask(np.ones((4, 4)), 0.5, size=2).astype(int)[::2, ::2].tolist() == [[0, 0], [1, 1]]


def test_signs_do_not_matter():
    assert mask([[-9, 1], [1, 1]], 0.5, size=1).astype(int).tolist() == [[1, 0], [0, 1]]


def test_pruned_tiles_go_first_and_pruned_weights_count_zero():
    alive = np.array([[False, True], [True, True]])
    assert mask([[9, 1], [2, 3]], 0.25, alive, size=1).astype(int).tolist() == [[0, 1], [1, 1]]
    pair = np.array([[False, True, True, True], [True] * 4])
    found = mask([[9, 1, 1, 1], [1, 1, 1, 1]], 0.5, pair, size=2)
    assert found.astype(int).tolist() == [[0, 0, 1, 1], [0, 0, 1, 1]]


def test_a_bias_is_skipped_with_the_reason():
    chosen = choose_masks({"b": Ranking("b", np.ones(8))}, 0.5, pattern=Tile())
    assert chosen.masks["b"].all()
    assert chosen.skipped == {"b": "tiles lie on outputs and inputs; the shape is (8,)"}


def test_the_first_broken_tile_is_named():
    broken = np.ones((4, 4), bool)
    broken[3, 2] = False
    with pytest.raises(pruners.PatternError, match=r"tile \(1, 1\) of 2 x 2 is kept in part"):
        Tile(size=2).check(broken)


@pytest.mark.parametrize("size", [0, -1, 1.5, "two"])
def test_a_wrong_size_is_named(size):
    with pytest.raises(pruners.OptionError, match="size"):
        pruners.pattern("tile", size=size)
