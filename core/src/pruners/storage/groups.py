"""A tensor whose groups keep equally many elements, N:M and banks: where in its group each one lies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from attrs import frozen

from .bitmask import indices

LARGEST = 256
"""Elements of a group; a lane fits in a byte."""
_CHUNK = 1 << 16


@frozen
class Groups:
    """
    Where the kept elements lie in their groups, with as few bits each as a group needs.

    The tensor is seen as (outer, length, step), step fastest, and each run of `length` is cut into
    groups of `size`; the last one may be shorter. Groups are numbered with step fastest, then the
    place in the run, then outer. Each stores `keep` elements, in rising order: those that are not zero and,
    where they are fewer, the first zeros, which may lie behind the end of a shorter group. Row j of the
    index has bit j of every lane, eight lanes to a byte, the lowest bit first.
    """

    elements: int
    """Of the whole tensor."""
    size: int
    """Of a group: a power of two, 2 to 256."""
    keep: int
    """Elements of a group that are stored, 1 to size - 1."""
    length: int
    """Of a run that is cut into groups, at least `size`."""
    step: int
    """From an element of a run to the next."""
    name = "groups"
    part = "lanes"

    @property
    def entry(self) -> dict[str, Any]:
        """What the manifest says besides the pattern's name."""
        return {"size": self.size, "keep": self.keep, "length": self.length, "step": self.step}

    @property
    def blocks(self) -> int:
        """Groups of a run."""
        return -(-self.length // self.size)

    @property
    def groups(self) -> int:
        """Groups of the tensor."""
        return self.elements // self.length * self.blocks

    @property
    def count(self) -> int:
        """Elements that are stored."""
        return self.groups * self.keep

    @property
    def index_shape(self) -> tuple[int, ...]:
        """Shape of the index, in bytes."""
        return ((self.size - 1).bit_length(), -(-self.count // 8))

    def index(self, bits: np.ndarray) -> np.ndarray:
        """Return where elements lie, uint8 of `index_shape`; `bits` are unsigned integers (elements,)."""
        return self._planes(np.concatenate([_lanes(mask) for mask in self._parts(bits)]))

    def pick(self, bits: np.ndarray, index: np.ndarray) -> np.ndarray:
        """Return the stored elements (count,); raise `ValueError` where `index` is not that of `bits`."""
        values = np.zeros(self.count, bits.dtype)
        for where, part, places, inside in self._walk(index):
            rows, what = bits[where], values[part]
            if inside is None:
                np.take(rows, places, out=what, mode="clip")
            else:
                what[inside] = rows[places[inside]]
        if np.count_nonzero(values) != np.count_nonzero(bits):
            raise ValueError("other elements are zero than before")
        return values

    def _parts(self, bits: np.ndarray) -> Iterator[np.ndarray]:
        """Yield what is stored of some outer rows at a time, as a mask (group, lane)."""
        row = self.length * self.step
        share = max(1, _CHUNK // row) * row
        for first in range(0, self.elements, share):
            yield self._filled(self._grouped(bits[first : first + share]) != 0)

    def _grouped(self, bits: np.ndarray) -> np.ndarray:
        """Return whole rows as (group, lane)."""
        rows = bits.reshape(-1, self.length, self.step)
        missing = self.blocks * self.size - self.length
        if missing:
            rows = np.pad(rows, ((0, 0), (0, missing), (0, 0)))
        blocks = rows.reshape(-1, self.blocks, self.size, self.step)
        return np.moveaxis(blocks, 2, -1).reshape(-1, self.size)

    def _filled(self, mask: np.ndarray) -> np.ndarray:
        """Return the mask (group, lane) with the first zeros added where a group has too few others."""
        if np.count_nonzero(mask) == len(mask) * self.keep:
            return mask  # no group has more
        held = _sums(mask[:, :, None])
        for _ in range(self.index_shape[0] - 1):
            held = _sums(held)
        missing = self.keep - held.reshape(-1).astype(np.int16)
        if (missing < 0).any():
            raise ValueError("other elements are zero than before")
        short = np.flatnonzero(missing)
        if len(short):
            zeros = ~mask[short]
            mask[short] |= zeros & (np.cumsum(zeros, axis=1) <= missing[short, None])
        return mask

    def _planes(self, lanes: np.ndarray) -> np.ndarray:
        rows = [np.packbits(lanes >> bit & 1, bitorder="little") for bit in range(self.index_shape[0])]
        return np.stack(rows)

    def place(self, index: np.ndarray, values: np.ndarray, out: np.ndarray) -> None:
        """Write the stored elements into zeros (elements,); raise `ValueError` where they do not fit."""
        for where, part, places, inside in self._walk(index):
            rows, what = out[where], values[part]
            if inside is None:
                rows[places] = what
                continue
            if what[~inside].any():
                raise ValueError("a value lies behind the end of its run")
            rows[places[inside]] = what[inside]

    def _walk(self, index: np.ndarray) -> Iterator[tuple[slice, slice, np.ndarray, np.ndarray | None]]:
        """
        Yield some rows at a time: which elements they are, and which stored ones.

        Then where in the rows each one lies, and which of them do not lie behind the end of a run, if any do.
        """
        lanes = self._read_lanes(index)
        row, stored = self.length * self.step, self.blocks * self.step * self.keep
        outer = self.elements // row
        share = min(outer, max(1, _CHUNK // row))
        starts = self._starts(share)
        for first in range(0, outer, share):
            last = min(outer, first + share)
            part = slice(first * stored, last * stored)
            places, inside = self._places(lanes[part], starts)
            yield slice(first * row, last * row), part, places, inside

    def _read_lanes(self, index: np.ndarray) -> np.ndarray:
        """Return the lane of each stored element (count,)."""
        planes = index.reshape(self.index_shape)
        if self.count % 8 and (planes[:, -1] >> self.count % 8).any():
            raise ValueError("its lanes have bits set behind the last one")
        lanes: np.ndarray = np.zeros(self.count, np.uint8)
        for bit, plane in enumerate(planes):
            lanes |= np.unpackbits(plane, count=self.count, bitorder="little") << np.uint8(bit)
        return lanes

    def _starts(self, rows: int) -> np.ndarray:
        """Return where the group of each stored element of so many rows begins."""
        groups = (np.arange(self.blocks) * self.size * self.step)[:, None] + np.arange(self.step)
        starts = np.arange(rows)[:, None] * (self.length * self.step) + groups.reshape(-1)
        return np.repeat(starts, self.keep)

    def _places(self, lanes: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        groups = lanes.reshape(-1, self.keep)
        if (groups[:, 1:] <= groups[:, :-1]).any():
            raise ValueError("the lanes of a group do not rise")
        places = lanes.astype(np.int64)
        if self.step > 1:
            places *= self.step
        places += starts[: len(places)]
        if not self.length % self.size:
            return places, None
        first = np.repeat(np.arange(self.blocks) * self.size, self.step * self.keep)
        return places, (first + lanes.reshape(-1, len(first)) < self.length).reshape(-1)


def _lanes(mask: np.ndarray) -> np.ndarray:
    """Return the lanes that are set in a mask (group, lane), in order."""
    places = indices(mask.reshape(-1))
    places &= mask.shape[1] - 1
    return places.astype(np.uint8)


def checked(elements: int, size: int, keep: int, length: int, step: int) -> Groups:
    """Return groups, or raise `ValueError` where a tensor cannot be cut into them."""
    found = Groups(elements, size, keep, length, step)
    if not 2 <= size <= min(LARGEST, length) or size & (size - 1) or not 1 <= keep < size:
        raise ValueError(f"no groups keep {keep} of {size} in runs of {length}")
    if step < 1 or elements % (length * step) or not elements:
        raise ValueError(f"{elements} elements are no runs of {length} with step {step}")
    return found


def largest(rows: np.ndarray) -> dict[int, int]:
    """Return the most elements that a group holds, by the size of groups, of a mask (outer, length, step)."""
    found = {}
    counts, size = rows, 1
    while 2 * size <= min(LARGEST, rows.shape[1]):
        counts, size = _sums(counts), 2 * size
        found[size] = int(counts.max())
    return found


def _sums(counts: np.ndarray) -> np.ndarray:
    """Return the sums of neighbours along the middle of three axes, of which the last may be alone."""
    if counts.shape[1] % 2:
        counts = np.pad(counts, ((0, 0), (0, 1), (0, 0)))
    if counts.dtype == np.bool_:
        counts = counts.view(np.uint8)
    wide = np.uint8 if counts.dtype == np.uint8 and counts.max(initial=0) < LARGEST // 2 else np.uint16
    sums: np.ndarray = np.add(counts[:, ::2], counts[:, 1::2], dtype=wide)
    return sums


def bytes_of(elements: int, width: int, size: int, keep: int, length: int) -> int:
    """Return what groups take in a file."""
    count = elements // length * -(-length // size) * keep
    return count * width + (size - 1).bit_length() * -(-count // 8)


def runs(shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Yield (length, step) of every axis that can be cut, whole and as eight interleaved ones."""
    step = 1
    for length in reversed(shape):
        if length >= 2:
            yield length, step
        if not length % 8 and length >= 16:
            yield length // 8, step * 8
        step *= length
