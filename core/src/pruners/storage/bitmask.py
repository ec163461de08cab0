"""A tensor as one bit per element, or fewer, and the elements that are not zero."""

from __future__ import annotations

from typing import Any

import numpy as np
from attrs import frozen

_CHUNK = 1 << 16
"""Elements at a time: what is made of them stays in the processor's cache, in memory that is used again."""


def indices(mask: np.ndarray) -> np.ndarray:
    """
    Return where a mask (elements,) is set, int64.

    NumPy finds that twice as fast where more than a tenth is set: so an eighth is put in front.
    """
    more = len(mask) // 8
    longer = np.empty(more + len(mask), np.bool_)
    longer[:more] = True
    longer[more:] = mask
    found: np.ndarray = np.flatnonzero(longer)[more:]
    found -= more
    return found


@frozen
class Bitmask:
    """
    Where the elements that are not zero lie, one bit for each element of the tensor.

    Element i has bit i % 8, the lowest first, of byte i // 8. An element is zero where all of its
    bits are: -0.0 is not.
    """

    elements: int
    """Of the whole tensor."""
    count: int
    """Of them that are stored."""
    name = "bitmask"
    part = "mask"

    @property
    def entry(self) -> dict[str, Any]:
        """What the manifest says besides the pattern's name."""
        return {}

    @property
    def index_shape(self) -> tuple[int, ...]:
        """Shape of the index, in bytes."""
        return (-(-self.elements // 8),)

    def index(self, bits: np.ndarray) -> np.ndarray:
        """Return where elements lie, uint8 of `index_shape`; `bits` are unsigned integers (elements,)."""
        return np.packbits(bits != 0, bitorder="little")

    def pick(self, bits: np.ndarray, index: np.ndarray) -> np.ndarray:
        """Return the stored elements (count,); raise `ValueError` where `index` is not that of `bits`."""
        values = np.empty(self.count, bits.dtype)
        end = 0
        for first in range(0, self.elements, _CHUNK):
            part = bits[first : first + _CHUNK]
            mask = part != 0
            if not np.array_equal(np.packbits(mask, bitorder="little"), self._of(index, first)):
                raise ValueError("other elements are zero than before")
            places = indices(mask)
            begin, end = end, end + len(places)
            np.take(part, places, out=values[begin:end], mode="clip")
        return values

    def place(self, index: np.ndarray, values: np.ndarray, out: np.ndarray) -> None:
        """Write the stored elements into zeros (elements,); raise `ValueError` where they do not fit."""
        end = 0
        for first in range(0, self.elements, _CHUNK):
            part = out[first : first + _CHUNK]
            packed = self._of(index, first)
            places = indices(np.unpackbits(packed, count=len(part), bitorder="little"))
            begin, end = end, end + len(places)
            if end > self.count:
                break
            part[places] = values[begin:end]
        if end != self.count:
            more = "more than " if end > self.count else ""
            raise ValueError(f"its mask has {more}{min(end, self.count)} bits set for {self.count} values")
        if self.elements % 8 and index[-1] >> self.elements % 8:
            raise ValueError("its mask has bits set behind the last element")

    @staticmethod
    def _of(index: np.ndarray, first: int) -> np.ndarray:
        return index[first // 8 : (first + _CHUNK) // 8]


@frozen
class Bytemask:
    """
    A bitmask without its zero bytes: first a bitmask of its bytes, then those that are not zero.

    Smaller than a bitmask where about four of five elements are zero and more.
    """

    elements: int
    """Of the whole tensor."""
    count: int
    """Of them that are stored."""
    length: int
    """Bytes of the index."""
    name = "bytemask"
    part = "mask"

    @property
    def entry(self) -> dict[str, Any]:
        """What the manifest says besides the pattern's name."""
        return {}

    @property
    def index_shape(self) -> tuple[int, ...]:
        """Shape of the index, in bytes."""
        return (self.length,)

    @property
    def _mask(self) -> Bitmask:
        return Bitmask(self.elements, self.count)

    @property
    def _bytes(self) -> Bitmask:
        """The bitmask, packed as a bitmask."""
        (size,) = self._mask.index_shape
        return Bitmask(size, self.length - -(-size // 8))

    def index(self, bits: np.ndarray) -> np.ndarray:
        """Return where elements lie, uint8 of `index_shape`; `bits` are unsigned integers (elements,)."""
        return without_zeros(self._mask.index(bits))

    def pick(self, bits: np.ndarray, index: np.ndarray) -> np.ndarray:
        """Return the stored elements (count,); raise `ValueError` where `index` is not that of `bits`."""
        return self._mask.pick(bits, self._whole(index))

    def place(self, index: np.ndarray, values: np.ndarray, out: np.ndarray) -> None:
        """Write the stored elements into zeros (elements,); raise `ValueError` where they do not fit."""
        self._mask.place(self._whole(index), values, out)

    def _whole(self, index: np.ndarray) -> np.ndarray:
        """Return the bitmask with its zero bytes."""
        (begin,) = self._bytes.index_shape
        whole = np.zeros(self._bytes.elements, np.uint8)
        self._bytes.place(index[:begin], index[begin:], whole)
        return whole


def without_zeros(mask: np.ndarray) -> np.ndarray:
    """Return a bitmask of bytes, and those that are not zero behind it."""
    kept = mask != 0
    return np.concatenate([np.packbits(kept, bitorder="little"), mask[np.flatnonzero(kept)]])


def bytemask(elements: int, count: int, length: int) -> Bytemask:
    """Return the pattern, or raise `ValueError` where an index has another length."""
    size = -(-elements // 8)
    if not -(-size // 8) <= length <= size + -(-size // 8):
        raise ValueError(f"no mask of {elements} elements has {length} bytes")
    return Bytemask(elements, count, length)
