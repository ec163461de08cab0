"""N:M masks worked by hand, at every sparsity on the way there."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pruners_nm._nm import NM

import pruners
from pruners.selection import Ranking, choose_masks


def mask(weights, sparsity=0.5, alive=None, **options):
    return NM(**options).mask(Ranking("w", np.array(weights, np.float32), True, alive), sparsity)


@pytest.mark.parametrize(
    ("weights", "kept"),
    [
        ([1, -3, 2, 0.5], [0, 1, 1, 0]),
        ([0, 0, 1, -1], [0, 0, 1, 1]),
        ([1, 1, 1, 1], [0, 0, 1, 1]),
        ([0, 0, 0, 0], [0, 0, 1, 1]),
        ([-0.0, 0.0, -0.0, 0.0], [0, 0, 1, 1]),
        ([4, 3, 2, 1, 1, 2, 3, 4], [1, 1, 0, 0, 0, 0, 1, 1]),
    ],
)
def test_two_of_four(weights, kept):
    assert mask([weights]).astype(int).tolist() == [kept]


@pytest.mark.parametrize(
    ("sparsity", "zeros"), [(0, 0), (0.2, 0), (0.25, 1), (0.49, 1), (0.5, 2), (0.3 + 0.2, 2)]
)
def test_a_schedule_goes_there_one_weight_at_a_time(sparsity, zeros):
    assert (mask(np.arange(16.0).reshape(2, 8), sparsity).reshape(-1, 4).sum(1) == 4 - zeros).all()


def test_more_than_the_pattern_reaches_is_warned_of():
    with pytest.warns(pruners.PatternLimit, match=r"2:4 prunes at most 0\.5 of 'w', and more was asked for"):
        assert mask([[1, 2, 3, 4]], 0.9).astype(int).tolist() == [[0, 0, 1, 1]]


@pytest.mark.parametrize(
    ("weights", "sparsity", "kept"),
    [
        ([1, 2, 3], 0.5, [0, 1, 1]),
        ([1, 2], 0.5, [1, 1]),
        ([1], 0.5, [1]),
        ([4, 3, 2, 1, 9, 8, 7], 0.5, [1, 1, 0, 0, 1, 1, 0]),
        ([4, 3, 2, 1, 9, 8, 7], 0.25, [1, 1, 1, 0, 1, 1, 1]),
        ([4, 3, 2, 1, 9], 0.5, [1, 1, 0, 0, 1]),
    ],
)
def test_missing_lanes_of_the_last_block_count_as_pruned(weights, sparsity, kept):
    found = mask([weights], sparsity)
    assert found.astype(int).tolist() == [kept]
    NM().check(found)


def test_a_convolution_has_blocks_along_its_inputs_at_each_kernel_position():
    weights = np.random.default_rng(0).standard_normal((3, 8, 2, 2)).astype(np.float32)
    found = mask(weights)
    for o, y, x in np.ndindex(3, 2, 2):
        assert found[o, :, y, x].tolist() == mask([weights[o, :, y, x]])[0].tolist()


def test_any_axis_and_other_sizes():
    weights = np.random.default_rng(0).standard_normal((32, 6)).astype(np.float32)
    found = mask(weights, 0.75, keep=4, block=16, axis=0)
    assert (found.reshape(2, 16, 6).sum(1) == 4).all()
    assert found.tolist() == mask(weights.T, 0.75, keep=4, block=16).T.tolist()


@pytest.mark.parametrize(("shape", "axis"), [((8,), 1), ((), 1), ((8,), 0), ((4, 4), 2)])
def test_layers_without_the_axis_are_skipped_with_the_reason(shape, axis):
    chosen = choose_masks({"w": Ranking("w", np.ones(shape))}, 0.5, pattern=NM(axis=axis))
    assert chosen.masks["w"].all()
    assert f"2:4 along axis {axis} needs a weight (out, in, ...)" in chosen.skipped["w"]


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.sampled_from([(2, 4), (1, 4), (3, 5), (4, 16), (1, 2)]))
def test_masks_are_nested_and_checked_while_scores_change(dtype, seed, size):
    generator = np.random.default_rng(seed)
    shape = tuple(generator.integers(1, 40, size=2))
    pattern = NM(keep=size[0], block=size[1])
    alive = np.ones(shape, bool)
    for sparsity in np.linspace(0, 1 - size[0] / size[1], 5):
        scores = np.round(generator.standard_normal(shape), 1).astype(dtype)
        found = pattern.mask(Ranking("w", scores, True, alive), sparsity)
        assert (found <= alive).all()
        pattern.check(found)
        alive = found


@pytest.mark.parametrize("size", [(2, 4), (16, 64)])
def test_strides_do_not_matter(size):
    x = np.round(np.random.default_rng(0).standard_normal((6, 256, 3)), 1)
    pattern = NM(keep=size[0], block=size[1])
    plain = pattern.mask(Ranking("w", x, True), 0.5)
    for view in (
        np.asfortranarray(x),
        np.repeat(x, 2, axis=1)[:, ::2],
        x[::-1].copy()[::-1],
        x[:, ::-1].copy()[:, ::-1],
    ):
        np.testing.assert_array_equal(pattern.mask(Ranking("w", view, True), 0.5), plain)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1, 1, 0, 0, 1, 0, 0, 0]], r"1 of 2 runs \(block\) do not have the 2 zeros in 4 that 2:4"),
        ([[0, 0, 0, 1, 0, 0, 0, 1]], "blocks have 3 zeros in 4; 2:4 gives at most 2"),
        ([[1, 1, 0, 0, 1, 0, 0]], r"\(shorter block at the end\)"),
    ],
)
def test_check_finds_what_breaks_the_pattern(rows, message):
    with pytest.raises(pruners.PatternError, match=message):
        NM().check(np.array(rows, bool))


@pytest.mark.parametrize("shape", [(3,), (0, 4), (2, 8), (2, 3), (1, 1, 1)])
def test_check_accepts_dense_layers(shape):
    NM().check(np.ones(shape, bool))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": 4}, "'keep' must be from 1 to block - 1 = 3: 4"),
        ({"keep": 0}, "'keep' must be from 1"),
        ({"block": 1, "keep": 1}, "'block' must be >= 2"),
        ({"axis": -1}, "'axis' must be >= 0"),
        ({"keep": 1.5}, "'keep' must be"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(pruners.OptionError, match=message):
        pruners.pattern("nm", **options)
