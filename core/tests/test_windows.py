"""What windows see: enough to compute a convolution with, at places that depend on the seed alone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pruners.structure.labels import FROZEN
from pruners.structure.reading import match
from pruners.structure.windows import Windows, generator, rows

EVERY = 10**6


def convolved(x, weight, windows):
    """A convolution from its definition, one product at a time."""
    sizes = windows.sizes(x.shape[2:])
    result = np.zeros((len(x), len(weight), *sizes))
    for place in itertools.product(*map(range, sizes)):
        for tap in itertools.product(*map(range, windows.kernel)):
            at = []
            for axis, (o, k) in enumerate(zip(place, tap, strict=True)):
                stride, padding, dilation = (
                    each[axis] for each in (windows.stride, windows.padding, windows.dilation)
                )
                if windows.transposed:
                    i, rest = divmod(o + padding - k * dilation, stride)
                    at.append(i if rest == 0 else -1)
                else:
                    at.append(o * stride - padding + k * dilation)
            if all(0 <= i < length for i, length in zip(at, x.shape[2:], strict=True)):
                seen = x[(slice(None), slice(None), *at)]
                result[(slice(None), slice(None), *place)] += (
                    seen @ weight[(slice(None), slice(None), *tap)].T
                )
    return result


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 2), st.booleans())
def test_windows_are_what_a_convolution_sees(data, axes, transposed):
    each = st.tuples(*[st.integers(1, 3)] * axes)
    kernel, stride, dilation = (data.draw(each) for _ in range(3))
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    padding = tuple(data.draw(st.integers(0, max(most, 0))) for most in reach)
    picture = [data.draw(st.integers(most + 1, most + 4)) for most in reach]
    draw = np.random.default_rng(data.draw(st.integers(0, 99)))
    x, weight = draw.integers(-3, 4, (2, 3, *picture)), draw.integers(-3, 4, (4, 3, *kernel))
    windows = Windows(kernel, stride, padding, dilation, transposed)
    seen = windows.see(x.astype(float), np.arange(3), EVERY, generator(0))
    assert seen.shape == (2 * np.prod(windows.sizes(picture)), 3, np.prod(kernel))
    found = np.einsum("fcp,scp->sf", weight.reshape(4, 3, -1), seen)
    expected = np.moveaxis(convolved(x.astype(float), weight.astype(float), windows), 1, -1)
    np.testing.assert_array_equal(found, expected.reshape(-1, 4))
    unfolded = windows.unfold(x.astype(float))
    assert unfolded.shape == (2, *windows.sizes(picture), 3, *kernel)
    np.testing.assert_array_equal(unfolded.reshape(seen.shape), seen)


def test_places_are_drawn_without_repeating_and_depend_on_the_seed_alone():
    x = np.arange(3 * 1 * 6 * 6, dtype=float).reshape(3, 1, 6, 6)
    windows = Windows((1, 1), (1, 1), (0, 0), (1, 1))
    first, again, other = (
        windows.see(x, np.array([0]), 10, generator(seed, "layer"))[:, 0, 0] for seed in (0, 0, 1)
    )
    assert len(first) == len(set(first)) == 30
    assert [int((first // 36 == example).sum()) for example in range(3)] == [10, 10, 10]
    assert first.tolist() == again.tolist() != other.tolist()


def test_only_asked_channels_are_seen_in_the_asked_order():
    x = np.arange(2 * 4 * 2, dtype=float).reshape(2, 4, 2)
    seen = Windows((1,), (1,), (0,), (1,)).see(x, np.array([3, 1]), EVERY, generator(0))
    assert seen[..., 0].tolist() == [[6, 2], [7, 3], [14, 10], [15, 11]]


@pytest.mark.parametrize(("shape", "axis"), [((5, 3), 1), ((2, 4, 3), 2), ((2, 3, 4), 1), ((3,), 0)])
def test_rows_are_vectors_along_the_axis(shape, axis):
    x = np.arange(np.prod(shape), dtype=float).reshape(shape)
    seen = rows(x, axis, np.array([2, 0]), EVERY, generator(0))[..., 0]
    np.testing.assert_array_equal(seen, np.moveaxis(x, axis, -1).reshape(-1, 3)[:, [2, 0]])


def test_so_many_rows_are_drawn_per_example():
    assert len(rows(np.zeros((2, 4, 3)), 2, np.array([0]), 3, generator(0))) == 6
    assert len(rows(np.zeros((7, 3)), 1, np.array([0]), 3, generator(0))) == 7


def test_channels_are_found_by_their_roots():
    channels = np.array([5, 7, 9])
    assert match(channels, np.array([9, 3, 7, 5])).tolist() == [[3], [2], [0]]
    flattened = np.array([5, 5, 7, 7, 9, 9])
    assert match(channels, flattened).tolist() == [[0, 1], [2, 3], [4, 5]]


def test_channels_that_are_not_read_are_marked():
    channels = np.array([5, 7, FROZEN])
    assert match(channels, np.array([3, 7, FROZEN])).tolist() == [[-1], [1], [-1]]
    assert match(channels, np.array([1, 2])) is None
    assert match(channels, None) is None


def test_channels_of_one_root_share_its_coordinates_in_order():
    assert match(np.array([5, 7, 5]), np.array([5, 5, 7, 7, 5, 5])).tolist() == [[0, 1], [2, 3], [4, 5]]
    assert match(np.array([5, 5]), np.array([5, 5, 5])).tolist() == [[0, 1], [2, -1]]


def test_channels_may_take_along_unevenly():
    assert match(np.array([5, 7]), np.array([5, 7, 7])).tolist() == [[0, -1], [1, 2]]
