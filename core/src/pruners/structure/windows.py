"""What a layer's windows see of its input: of some channels at drawn places, or everything; NumPy only."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import frozen
from numpy.lib.stride_tricks import sliding_window_view


def generator(seed: int, *names: object) -> np.random.Generator:
    """Return a random generator that depends on the seed and the names alone."""
    digest = hashlib.sha256(":".join(map(str, (seed, *names))).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))


@frozen(eq=False)
class Windows:
    """The windows of one convolution: its kernel and how it moves."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    transposed: bool = False

    @classmethod
    def of(cls, kernel: Sequence[int], options: Any) -> Windows:
        """Return the windows of a recorded ``conv``."""
        axes = len(kernel)
        stride, padding, dilation = (
            _each(options.get(name, default), axes) for name, default in _DEFAULTS.items()
        )
        return cls(tuple(kernel), stride, padding, dilation, bool(options.get("transposed")))

    def sizes(self, picture: Sequence[int]) -> tuple[int, ...]:
        """Return how many windows there are along each axis of a picture."""
        found = []
        for axis, length in enumerate(picture):
            reach = self.dilation[axis] * (self.kernel[axis] - 1)
            if self.transposed:
                found.append((length - 1) * self.stride[axis] - 2 * self.padding[axis] + reach + 1)
            else:
                found.append((length + 2 * self.padding[axis] - reach - 1) // self.stride[axis] + 1)
        return tuple(max(0, size) for size in found)

    def see(
        self, x: np.ndarray, coordinates: np.ndarray, locations: int, random: np.random.Generator
    ) -> np.ndarray:
        """
        Return ``(sample, coordinate, kernel position)``: what `locations` windows of each example see.

        `x` is ``(batch, in, *picture)``. Where there are fewer windows, all of them are taken.
        """
        picture = x.shape[2:]
        sizes = self.sizes(picture)
        example, window = _places(len(x), math.prod(sizes), locations, random)
        where = np.unravel_index(window, sizes) if sizes else ()
        index: list[np.ndarray] = [_along(example, 0, x.ndim), _along(coordinates, 1, x.ndim)]
        inside = np.ones((1,) * x.ndim, bool)
        for axis, length in enumerate(picture):
            at, valid = self._seen(axis, where[axis])
            valid = valid & (at >= 0) & (at < length)
            shape = [1] * x.ndim
            shape[0], shape[axis + 2] = at.shape
            index.append(np.clip(at, 0, max(length - 1, 0)).reshape(shape))
            inside = inside & valid.reshape(shape)
        seen = np.where(inside, x[tuple(index)], np.zeros((), x.dtype))
        return seen.reshape(len(example), len(coordinates), math.prod(self.kernel))

    def unfold(self, x: np.ndarray, beyond: Sequence[int] = ()) -> np.ndarray:
        """
        Return ``(batch, *window, in, *kernel)``: all that every window sees; a view where strides allow it.

        `x` is ``(batch, in, *picture)``. `beyond` counts windows per axis after those of `sizes`: what a
        transposed convolution calls its output padding.
        """
        # A transposed convolution is one over a picture with gaps, with its kernel the other way round.
        picture = self._with_gaps(x) if self.transposed else x
        for axis, kernel in enumerate(self.kernel):
            reach = self.dilation[axis] * (kernel - 1)
            before = reach - self.padding[axis] if self.transposed else self.padding[axis]
            after = before + (beyond[axis] if beyond else 0)
            picture = _padded(picture, axis + 2, before, after)
            picture = sliding_window_view(picture, reach + 1, axis + 2)[..., :: self.dilation[axis]]
            picture = picture[..., ::-1] if self.transposed else picture
            steps = slice(None, None, 1 if self.transposed else self.stride[axis])
            picture = picture[(slice(None),) * (axis + 2) + (steps,)]
        return np.moveaxis(picture, 1, 1 + len(self.kernel))

    def _with_gaps(self, x: np.ndarray) -> np.ndarray:
        """Return a picture with zeros between its points, so that they lie a stride apart."""
        sizes = [max(0, (n - 1) * step + 1) for n, step in zip(x.shape[2:], self.stride, strict=True)]
        spread = np.zeros((*x.shape[:2], *sizes), x.dtype)
        spread[(slice(None), slice(None), *(slice(None, None, step) for step in self.stride))] = x
        return spread

    def _seen(self, axis: int, window: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return, per window and kernel place, which coordinate is seen and whether there is one."""
        stride, padding = self.stride[axis], self.padding[axis]
        steps = self.dilation[axis] * np.arange(self.kernel[axis])
        if not self.transposed:
            at = window[:, None] * stride - padding + steps
            return at, np.ones(at.shape, bool)
        at = window[:, None] + padding - steps
        return at // stride, at % stride == 0


_DEFAULTS = {"stride": 1, "padding": 0, "dilation": 1}


def rows(
    x: np.ndarray, axis: int, coordinates: np.ndarray, locations: int, random: np.random.Generator
) -> np.ndarray:
    """
    Return ``(sample, coordinate, 1)``: the vectors along `axis` that a dense layer reads.

    The first other axis counts examples; of the rest, `locations` places are drawn per example.
    """
    vectors = np.moveaxis(x, axis, -1)
    vectors = vectors.reshape(len(vectors) if vectors.ndim > 1 else 1, -1, vectors.shape[-1])
    example, place = _places(len(vectors), vectors.shape[1], locations, random)
    seen: np.ndarray = vectors[example[:, None], place[:, None], coordinates[None, :]][..., None]
    return seen


def _padded(x: np.ndarray, axis: int, before: int, after: int) -> np.ndarray:
    """Return an array with zeros put on at both ends of an axis; negative numbers take away."""
    kept = slice(max(0, -before), x.shape[axis] - max(0, -after))
    widths = [(0, 0)] * x.ndim
    widths[axis] = max(0, before), max(0, after)
    return np.pad(x[(slice(None),) * axis + (kept,)], widths)


def _places(
    examples: int, count: int, locations: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the example and the place of each sample; no place twice."""
    if count <= locations:
        place = np.tile(np.arange(count), examples)
    else:
        place = np.concatenate(
            [np.empty(0, int), *(random.choice(count, locations, replace=False) for _ in range(examples))]
        )
    return np.repeat(np.arange(examples), min(count, locations)), place


def _each(value: Any, axes: int) -> tuple[int, ...]:
    """Return one number per axis."""
    numbers = tuple(int(each) for each in value) if isinstance(value, (tuple, list)) else (int(value),)
    return numbers * axes if len(numbers) == 1 else numbers


def _along(values: np.ndarray, axis: int, ndim: int) -> np.ndarray:
    """Return a vector laid along one axis of an array."""
    return np.asarray(values).reshape([-1 if each == axis else 1 for each in range(ndim)])
