"""Bank-balanced masks: the counts of the published tools, worked by hand."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pruners_bank._bank import Bank

import pruners
from pruners.selection import Ranking, choose_masks


def weights(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def mask(array, sparsity, alive=None, **options):
    return Bank(**options).mask(Ranking("w", np.asarray(array), True, alive), sparsity)


def best(values, count):
    """Return the mask of the `count` largest; of equals the later ones."""
    found = np.zeros(values.size, bool)
    found[np.argsort(np.abs(values).ravel(), kind="stable")[values.size - count :]] = True
    return found.reshape(values.shape)


def test_sixty_of_sixty_four_is_93_75_percent():
    w = weights(10, 128)
    found = mask(w, 0.9375)
    assert (found.reshape(10, 2, 64).sum(2) == 4).all()
    assert 1 - found.mean() == 0.9375
    np.testing.assert_array_equal(found[3, 64:], best(w[3, 64:], 4))


def test_rounding_up_per_bank_prunes_a_little_less_than_asked():
    found = mask(weights(1, 192), 0.9)  # floor(19.2) = 19 kept in 3 banks: 7 each
    assert found.reshape(3, 64).sum(1).tolist() == [7, 7, 7]
    assert round(1 - found.mean(), 4) == 0.8906


def test_full_banks_share_by_size_and_the_shorter_one_gets_the_rest():
    w = weights(1, 96)
    found = mask(w, 0.75)  # 24 kept: int(64 / 96 * 24) = 16 and 8
    assert (found[0, :64].sum(), found[0, 64:].sum()) == (16, 8)
    np.testing.assert_array_equal(found[0, 64:], best(w[0, 64:], 8))


def test_several_rows_share_the_count_of_the_layer():
    found = mask(weights(5, 100), 0.9)  # 50 kept: 32 in 5 full banks, 7 each; 18 in 5 short ones, 4 each
    assert (found[:, :64].sum(1) == 7).all()
    assert (found[:, 64:].sum(1) == 4).all()


def test_fewer_inputs_than_a_bank():
    found = mask(weights(3, 16), 0.75)  # 12 kept in 3 banks of 16
    assert (found.sum(1) == 4).all()


def test_less_than_one_weight_prunes_everything():
    assert not mask(weights(1, 8), 0.9).any()
    assert mask(weights(1, 10), 0.9).sum() == 1  # 10 * (1 - 0.9) is 1, not 0.9999999999999998


def test_nothing_is_pruned_at_zero():
    for layout in ("contiguous", "interleaved", "fpga"):
        assert mask(weights(3, 100), 0.0, layout=layout).all()


def test_a_convolution_is_cut_along_its_inputs_at_each_kernel_position():
    w = weights(4, 128, 3, 3)
    found = mask(w, 0.75)
    rows = found.transpose(0, 2, 3, 1).reshape(4, 3, 3, 2, 64)
    assert (rows.sum(-1) == 16).all()
    np.testing.assert_array_equal(found[2, 64:, 1, 0], best(w[2, 64:, 1, 0], 16))


def test_interleaved_banks_take_every_eighth_input():
    w = weights(3, 1024)
    found = mask(w, 0.9375, layout="interleaved")
    for o, group, bank in np.ndindex(3, 2, 8):
        lanes = slice(512 * group + bank, 512 * (group + 1), 8)
        np.testing.assert_array_equal(found[o, lanes], best(w[o, lanes], 4))


def test_interleaved_remainder_is_dealt_to_shorter_banks():
    w = weights(2, 32)
    w[:, 16:] = np.arange(1, 17)
    found = mask(w, 0.5, size=2, layout="interleaved")  # groups of 16 inputs: 8 banks of 2
    assert (found.reshape(2, 2, 2, 8).sum(2) == 1).all()
    found = mask(
        weights(2, 20), 0.5, size=2, layout="interleaved"
    )  # 20 kept: 16 in 16 banks, 4 in 8 banks of 1
    assert (found[:, :16].reshape(2, 2, 8).sum(1) == 1).all()
    assert found[:, 16:].all()


def test_interleaved_points_but_not_larger_kernels():
    w = weights(2, 512, 1, 1)
    np.testing.assert_array_equal(
        mask(w, 0.75, layout="interleaved")[:, :, 0, 0], mask(w[:, :, 0, 0], 0.75, layout="interleaved")
    )
    w = weights(2, 128, 3, 3)
    np.testing.assert_array_equal(mask(w, 0.75, layout="interleaved"), mask(w, 0.75))


def test_fpga_banks_are_quarters_of_the_channels_of_a_kernel_row():
    w = weights(3, 16, 3, 5)
    found = mask(w, 0.75, layout="fpga")  # 180 kept of 720, in 36 banks
    for o, row, quarter in np.ndindex(3, 3, 4):
        channels = slice(4 * quarter, 4 * quarter + 4)
        np.testing.assert_array_equal(found[o, channels, row], best(w[o, channels, row], 5))


def test_fpga_dense_layers_and_channels_that_four_does_not_divide():
    found = mask(weights(2, 16), 0.5, layout="fpga")
    assert (found.reshape(2, 4, 4).sum(2) == 2).all()
    found = mask(weights(2, 10, 1, 3), 0.5, layout="fpga")
    assert (found[:, :8, 0].reshape(2, 4, 6).sum(2) == 3).all()  # 30 kept: 24 in 8 full banks
    assert (found[:, 8:, 0].reshape(2, 6).sum(1) == 3).all()  # and 6 in 2 short ones


def test_other_axis_and_size():
    w = weights(32, 9)
    np.testing.assert_array_equal(mask(w, 0.5, size=8, axis=0), mask(w.T, 0.5, size=8).T)


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((64, 3, 7, 7), "its axis 1 is 3 wide; with a larger kernel, banks need at least 4"),
        ((64, 7, 1, 1), "its axis 1 is 7 wide; with one kernel position, banks need at least 8"),
        ((10, 7), "its axis 1 is 7 wide"),
    ],
)
@pytest.mark.parametrize("layout", ["contiguous", "interleaved", "fpga"])
def test_first_layers_are_skipped_with_the_reason(shape, reason, layout):
    chosen = choose_masks({"w": Ranking("w", weights(*shape))}, 0.5, pattern=Bank(layout=layout))
    assert chosen.masks["w"].all()
    assert reason in chosen.skipped["w"]


@pytest.mark.parametrize(("shape", "layout"), [((64, 4, 3, 3), "contiguous"), ((10, 8), "fpga")])
def test_the_least_inputs_are_enough(shape, layout):
    assert 0.4 < mask(weights(*shape), 0.5, layout=layout).mean() < 0.6


@pytest.mark.parametrize(
    ("shape", "layout"), [((7,), "contiguous"), ((7,), "fpga"), ((2, 8, 3), "fpga"), ((), "fpga")]
)
def test_weights_without_banks_are_pruned_without_them_and_warned_of(shape, layout):
    w = weights(*shape)
    with pytest.warns(pruners.SkippedLayer, match="'w' of shape .* has no banks"):
        found = mask(w, 0.3, layout=layout)
    kept = int(w.size * (1 - 0.3) + 1e-9)
    np.testing.assert_array_equal(found, best(np.asarray(w), kept))


@pytest.mark.parametrize("balance", ["none", False])
def test_without_balance_the_best_of_the_layer_are_kept(balance):
    w = weights(7, 3)
    np.testing.assert_array_equal(mask(w, 0.3, balance=balance), best(w, 14))  # floor(21 * 0.7)


def test_true_and_false_mean_fix_and_none():
    assert Bank(balance=True) == Bank(balance="fix") == Bank()
    assert Bank(balance=False) == Bank(balance="none")


SHAPES = [(3, 200), (2, 70, 1, 1), (2, 12, 3, 2), (4, 64), (1, 37), (3, 10)]


@pytest.mark.parametrize("layout", ["contiguous", "interleaved", "fpga"])
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32])
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), shape=st.sampled_from(SHAPES), size=st.sampled_from([4, 16, 64]))
def test_masks_are_nested_and_balanced_while_scores_change(layout, dtype, seed, shape, size):
    generator = np.random.default_rng(seed)
    pattern = Bank(size=size, layout=layout)
    alive = np.ones(shape, bool)
    for sparsity in (0.0, 0.21, 0.5, 0.5, 0.77, 0.9, 0.999):
        scores = np.round(generator.standard_normal(shape), 1).astype(dtype)
        found = pattern.mask(Ranking("w", scores, True, alive), sparsity)
        assert (found <= alive).all()
        assert 1 - found.mean() <= sparsity + 1 / found.size
        pattern.check(found)
        alive = found


@pytest.mark.parametrize("layout", ["contiguous", "interleaved", "fpga"])
def test_strides_do_not_matter(layout):
    x = np.round(weights(4, 136, 3, 3), 1)
    pattern = Bank(size=16, layout=layout)
    plain = pattern.mask(Ranking("w", x, True), 0.7)
    views = (np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2], x[:, ::-1].copy()[:, ::-1])
    for view in (*views, np.ascontiguousarray(x.transpose(2, 3, 1, 0)).transpose(3, 2, 0, 1)):
        np.testing.assert_array_equal(pattern.mask(Ranking("w", view, True), 0.7), plain)


@pytest.mark.parametrize(
    ("layout", "shape"), [("contiguous", (2, 128)), ("interleaved", (1, 512)), ("fpga", (1, 8, 2, 2))]
)
def test_check_finds_banks_that_differ(layout, shape):
    found = np.ones(shape, bool)
    Bank(layout=layout).check(found)
    found[0, 1] = False
    with pytest.raises(pruners.PatternError, match=f"banks of layout '{layout}' keep from"):
        Bank(layout=layout).check(found)
    Bank(layout=layout, balance="none").check(found)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "'size' must be >= 1"),
        ({"balance": "yes"}, "'balance' must be in"),
        ({"layout": "rows"}, "'layout' must be in"),
        ({"layout": "fpga", "axis": 0}, "'axis' must be 1 with layout 'fpga': 0"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(pruners.OptionError, match=message):
        pruners.pattern("bank", **options)
