"""Where operations that move coordinates take their labels, and what they keep whole and why."""

import numpy as np
import pytest

from .builder import Builder
from .looking import look


@pytest.fixture
def net():
    return Builder()


@pytest.fixture
def x(net):
    """Four channels of a picture."""
    return net.conv(net.picture(3), 4, name="a")


A = ("a.weight", 0)
B = ("b.weight", 1)


def read(net, y, *axes, **options):
    """Return the patterns of channels and of the layer that reads what became of them."""
    read = net.conv(y, 2, name="b") if len(net.shape(y)) == 4 else net.linear(y, 2, name="b")
    found = look(net, read, **options)
    return found if not axes else found.pattern(*axes)


def test_transpose(net, x):
    found = look(net, net.linear(net.transpose(x, 0, 2, 3, 1), 2, name="b"))
    assert found.pattern(A, B) == ["abcd", "abcd"]


def test_concatenation_keeps_places(net, x):
    y = net.op("concat", net.conv(net.picture(3), 2, name="c"), x, net.picture(1), x, axis=1)
    assert read(net, y, ("c.weight", 0), A, B) == ["ab", "cdef", "abcdef.cdef"]


def test_concatenation_along_another_axis_ties(net, x):
    y = net.op("concat", x, net.conv(net.picture(3), 4, name="c"), axis=2)
    assert read(net, y, A, ("c.weight", 0), B) == ["abcd"] * 3


def test_concatenation_of_places_that_have_channels(net, x):
    """Parts of the other axes that stay keep the rest."""
    found = read(net, net.op("concat", x, net.picture(4), axis=2))
    assert found.because(*A, "meets something that cannot shrink (concat in the model)")


def test_equal_parts_stay_equal(net, x):
    left, right = net.split(x, 1, 2, 2)
    assert read(net, net.op("concat", right, left, axis=1), A, B) == ["abab", "abab"]


def test_unequal_parts_are_free(net, x):
    left, right = net.split(x, 1, 1, 3)
    assert read(net, net.op("concat", right, left, axis=1), A, B) == ["abcd", "bcda"]


def test_slice(net, x):
    assert read(net, net.slice(x, 1, 1, 3), A, B) == ["abcd", "bc"]


def test_slice_of_every_other_channel_keeps_whole(net, x):
    found = read(net, net.slice(x, 1, 0, 4, 2))
    assert found.because(*A, "is read at every other coordinate (slice in the model)")


def test_slice_of_a_picture_keeps_nothing(net, x):
    assert read(net, net.slice(x, 2, 0, 2, 2), A, B) == ["abcd", "abcd"]


def test_flip(net, x):
    assert read(net, net.op("flip", x, axes=(1, 2)), A, B) == ["abcd", "dcba"]


def test_select_keeps_its_axis(net, x):
    picked = net.op("unsqueeze", net.op("select", x, axis=1, places=(2,)), axes=(1,))
    assert read(net, picked).because(*A, "has single coordinates picked out (select in the model)")


def test_select_of_another_axis_keeps_nothing(net, x):
    rows = net.op("select", x, axis=2, places=(0,))
    assert read(net, net.op("unsqueeze", rows, axes=(3,)), A, B) == ["abcd", "abcd"]


def test_stack_ties(net, x):
    stacked = net.op("stack", x, net.conv(net.picture(3), 4, name="c"), axis=1)
    assert read(net, net.reduce(stacked, 1, function="sum"), A, ("c.weight", 0), B) == ["abcd"] * 3


def test_squeeze_and_unsqueeze(net, x):
    y = net.op("squeeze", net.reduce(x, 2, 3, keepdims=True), axes=(2, 3))
    assert read(net, net.op("unsqueeze", y, axes=(2, 3)), A, B) == ["abcd", "abcd"]


def test_squeeze_keeps_a_channel_that_is_alone(net):
    x = net.conv(net.picture(3), 1, name="a")
    found = look(net, net.linear(net.op("squeeze", x, axes=(1,)), 2))
    assert found.because(*A, "is an axis of one coordinate that is dropped (squeeze in the model)")


def test_expand_keeps_what_is_stretched(net):
    x = net.conv(net.picture(3), 1, name="a")
    found = read(net, net.op("expand", x, shapes=[(2, 5, 2, 2)]))
    assert found.because(*A, "is stretched over several coordinates (expand in the model)")


def test_expand_of_other_axes_keeps_nothing(net, x):
    pooled = net.reduce(x, 2, 3, keepdims=True)
    assert read(net, net.op("expand", pooled, shapes=[(2, 4, 2, 2)]), A, B) == ["abcd", "abcd"]


def test_tile(net, x):
    assert read(net, net.op("tile", x, repeats=(1, 2, 1, 1)), A, B) == ["abcd", "abcdabcd"]


def test_tile_with_new_axes(net):
    x = net.linear(net.vector(2, 3), 2, name="a")
    assert read(net, net.op("tile", x, repeats=(2, 1, 2)), A, B) == ["ab", "abab"]


def test_padding_leaves_with_what_it_is_added_to(net, x):
    y = net.binary(net.pad(x, 1, 1, 2), net.conv(net.picture(3), 7, name="c"))
    assert read(net, y, ("c.weight", 0), A, B) == ["abcdefg", "bcde", "abcdefg"]


@pytest.mark.parametrize("amounts", [(-1, 0), (0, -1)])
def test_cropping_keeps_whole(net, x, amounts):
    program = net.program
    before, after = ((0, amount, 0, 0) for amount in amounts)
    (y,) = program.op("pad", [x], [(2, 3, 2, 2)], before=before, after=after)
    net.run.values[y] = net.run.values[x][:, :3]
    assert read(net, y).because(*A, "is cropped or mirrored")


def test_mirrored_padding_keeps_whole(net, x):
    (y,) = net.program.op("pad", [x], [(2, 6, 2, 2)], before=(0, 1, 0, 0), after=(0, 1, 0, 0), mode="reflect")
    net.run.values[y] = net.run.values[x][:, [1, 0, 1, 2, 3, 2]]
    assert read(net, y).because(*A, "is cropped or mirrored")


def test_gather_keeps_its_axis_and_its_index(net, x):
    index = net.parameter("index", 4)
    net.parameters["index"][:] = [1, 1, 0, 3]
    found = read(net, net.op("gather", x, index, axes=(1,), result=(0, None, 2, 3)))
    assert found.because(*A, "is read by index (gather in the model)")
    assert found.because("index", 0, "is used as an index (gather in the model)")


def test_gather_from_the_batch_keeps_nothing(net, x):
    index = net.indices(2, 2)
    assert read(net, net.op("gather", x, index, axes=(0,), result=(None, 1, 2, 3)), A, B) == ["abcd", "abcd"]


def test_writing_into_zeros_ties_the_part_that_is_written(net, x):
    wide = net.constant((2, 6, 2, 2))
    net.op("write", net.slice(wide, 1, 1, 5), x)
    y = net.binary(net.unary(wide, "alias"), net.conv(net.picture(3), 6, name="c"))
    assert read(net, y, ("c.weight", 0), A, B) == ["abcdef", "bcde", "abcdef"]


def test_scatter_keeps_the_axis_it_writes_along(net):
    x = net.linear(net.vector(2, 3, 3), 4, name="a")
    rows = net.linear(net.slice(net.vector(2, 3, 3), 1, 0, 2), 4, name="c")
    y = net.op("scatter", x, rows, net.indices(3, 2), axes=(1,))
    assert read(net, y, A, ("c.weight", 0), B) == ["abcd"] * 3


def test_scatter_along_channels_keeps_them(net):
    x = net.linear(net.vector(2, 3, 3), 4, name="a")
    written = net.linear(net.vector(2, 3, 3), 2, name="c")
    found = read(net, net.op("scatter", x, written, net.indices(4, 2), axes=(2,)))
    assert found.because(*A, "is written by index (scatter in the model)")
    assert found.because("c.weight", 0, "is written by index (scatter in the model)")


def test_pixel_shuffle_takes_squares_of_channels(net):
    x = net.conv(net.picture(3), 8, name="a")
    assert read(net, net.op("pixel_shuffle", x, factor=2), A, B) == ["aaaabbbb", "ab"]


def test_pixel_unshuffle_repeats_channels(net, x):
    assert read(net, net.op("pixel_shuffle", x, factor=-2), A, B) == ["abcd", "aaaabbbbccccdddd"]


def test_unfold_and_fold(net):
    x = net.conv(net.picture(3), 2, name="a")
    columns = net.op("unfold", x, kernel=2)
    assert read(net, net.transpose(columns, 0, 2, 1), A, B) == ["ab", "aaaabbbb"]


def test_fold_takes_windows_of_channels(net):
    x = net.conv(net.picture(3, 2), 8, name="a")
    y = net.op("fold", net.reshape(x, 2, 8, 4), shapes=[(2, 2, 3, 3)], kernel=2)
    assert read(net, y, A, B) == ["aaaabbbb", "ab"]


def test_flatten_repeats_channels_over_places(net, x):
    assert read(net, net.reshape(x, 2, 16), A, B) == ["abcd", "aaaabbbbccccdddd"]


def test_flatten_of_channels_last_repeats_channels_in_turn(net, x):
    last = net.transpose(x, 0, 2, 3, 1)
    assert read(net, net.reshape(last, 2, 16), A, B) == ["abcd", "abcd" * 4]


def test_reshape_of_places_keeps_nothing(net, x):
    assert read(net, net.transpose(net.reshape(x, 2, 4, 4), 0, 2, 1), A, B) == ["abcd", "abcd"]


def test_shuffle_keeps_the_same_places_of_groups(net):
    x = net.conv(net.picture(3), 8, name="a")
    turned = net.transpose(net.reshape(x, 2, 2, 4, 2, 2), 0, 2, 1, 3, 4)
    assert read(net, net.reshape(turned, 2, 8, 2, 2), A, B) == ["abcdabcd", "aabbccdd"]


def test_reshape_that_merges_two_axes_that_can_shrink_keeps_the_shorter(net):
    x = net.vector(2, 3)
    left, right = net.linear(x, 3, name="a"), net.linear(x, 2, name="c")
    outer = net.op("contract", left, right, spec="bi,bj->bij")
    found = read(net, net.reshape(outer, 2, 6))
    assert found.pattern(A, B) == ["abc", "aabbcc"]
    assert found.because("c.weight", 0, "is merged with another axis that can shrink (reshape in the model)")


def test_reshape_that_cannot_tell_coordinates_apart_keeps_them(net):
    """One channel over four places, parted elsewhere."""
    x = net.conv(net.picture(3), 1, name="a")
    wide = net.op("pixel_shuffle", x, factor=-2)
    parted = net.reshape(wide, 2, 2, 2, 1, 1)
    found = read(net, net.reshape(parted, 2, 4, 1, 1))
    assert found.because(*A, "cannot be told apart after a reshape (reshape in the model)")


def test_reshape_of_nothing_keeps_whole(net):
    """An empty value has no places to follow."""
    program = net.program
    x = net.linear(net.source(np.zeros((0, 3))), 4, name="a")
    (y,) = program.op("reshape", [x], [(4, 0)])
    program.result(y)
    assert look(net, y).because(*A, "is empty")


def test_reshape_drops_and_adds_axes_of_one(net, x):
    pooled = net.reduce(x, 2, 3, keepdims=True)
    y = net.reshape(net.reshape(pooled, 2, 4), 2, 1, 4, 1)
    assert read(net, net.reshape(y, 2, 4, 1, 1), A, B) == ["abcd", "abcd"]
