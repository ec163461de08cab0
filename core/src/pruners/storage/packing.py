"""Tensors with many zeros in fewer bytes: each as whichever pattern is smallest, or as it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen

from ..errors import StateError
from ..progress import Counted
from . import groups
from .bitmask import Bitmask, Bytemask, bytemask, without_zeros
from .container import are_lengths, damaged, is_length, quoted
from .groups import Groups
from .tensors import WIDTHS, StoredTensor

OVERHEAD = 512
"""Bytes a tensor has to save at least: two tensors in place of one make the header longer."""
VALUES = "values"
_SAMPLE = 16
_LONGEST = 4096

Pattern = Bitmask | Bytemask | Groups
"""Which elements of a tensor are stored, and how a file says so."""
Shapes = Mapping[str, tuple[str, tuple[int, ...]]]
"""``{tensor name: (type, shape)}``."""


@frozen(eq=False)
class Packed:
    """One tensor of the model that lies in the file as an index and values."""

    dtype: str
    shape: tuple[int, ...]
    pattern: Pattern

    def parts(self, name: str) -> tuple[str, str]:
        """Return the names of index and values in the file."""
        return f"{name}:{self.pattern.part}", f"{name}:{VALUES}"

    def entry(self) -> dict[str, Any]:
        """Return what the manifest says."""
        pattern = self.pattern
        return {
            "dtype": self.dtype,
            "shape": list(self.shape),
            "pattern": pattern.name,
            **pattern.entry,
        }

    def shapes(self, name: str) -> Shapes:
        """Return type and shape of both parts."""
        index, values = self.parts(name)
        return {index: ("U8", self.pattern.index_shape), values: (self.dtype, (self.pattern.count,))}


def pack(tensors: Mapping[str, StoredTensor]) -> tuple[dict[str, StoredTensor], dict[str, Packed]]:
    """
    Return the tensors as they go into the file, and which of them are packed.

    Each tensor is read here once, and once more when its values are written; the indices, an
    eighth of a byte per element and less, stay in memory in between.
    """
    stored: dict[str, StoredTensor] = {}
    packed: dict[str, Packed] = {}
    for name in Counted(tensors, "tensors packed"):
        tensor = tensors[name]
        found = None if _taken(name, tensors) else _pattern(tensor)
        if found is None:
            stored[name] = tensor
            continue
        pattern, index = found
        packed[name] = Packed(tensor.dtype, tensor.shape, pattern)
        index_name, values_name = packed[name].parts(name)
        stored[index_name] = StoredTensor("U8", pattern.index_shape, lambda index=index: index)  # type: ignore[misc]
        stored[values_name] = StoredTensor(tensor.dtype, (pattern.count,), _picked(name, tensor, *found))
    return stored, packed


def _taken(name: str, tensors: Mapping[str, StoredTensor]) -> bool:
    return any(f"{name}:{part}" in tensors for part in (Bitmask.part, Groups.part, VALUES))


def _bits(data: np.ndarray, dtype: str) -> np.ndarray:
    return data.view(f"<u{WIDTHS[dtype]}")


def _picked(name: str, tensor: StoredTensor, pattern: Pattern, index: np.ndarray) -> Callable[[], np.ndarray]:
    def read() -> np.ndarray:
        try:
            values = pattern.pick(_bits(tensor.read(), tensor.dtype), index.reshape(pattern.index_shape))
        except ValueError as error:
            raise StateError(f"tensor {name!r} changed while it was saved: {error}") from error
        return values.view(np.uint8)

    return read


def _pattern(tensor: StoredTensor) -> tuple[Pattern, np.ndarray] | None:
    """Return the smallest pattern of a tensor and its index as bytes, or None where dense is smaller."""
    if tensor.nbytes <= OVERHEAD:
        return None
    bits = _bits(tensor.read(), tensor.dtype)
    mask = bits != 0
    pattern, index = _masked(mask)
    size = pattern.count * bits.itemsize + len(index)
    if size > tensor.nbytes - OVERHEAD:
        return None
    smaller = _groups(mask, tensor.shape, bits.itemsize, size)
    return (pattern, index) if smaller is None else (smaller, smaller.index(bits).reshape(-1))


def _masked(mask: np.ndarray) -> tuple[Pattern, np.ndarray]:
    """Return the smaller of bitmask and bytemask, and its index."""
    count, index = int(np.count_nonzero(mask)), np.packbits(mask, bitorder="little")
    shorter = without_zeros(index)
    if len(shorter) < len(index):
        return Bytemask(mask.size, count, len(shorter)), shorter
    return Bitmask(mask.size, count), index


def _groups(mask: np.ndarray, shape: tuple[int, ...], width: int, most: int) -> Groups | None:
    """Return the smallest groups of a mask that take at most so many bytes."""
    best: tuple[int, Groups] | None = None
    for length, step in groups.runs(shape):
        rows = mask.reshape(-1, length, step)
        if _smallest(groups.largest(_sample(rows)), mask.size, width, length)[0] > most:
            continue
        size, group, keep = _smallest(groups.largest(rows), mask.size, width, length)
        if size <= most and (best is None or size < best[0]):
            best, most = (size, Groups(mask.size, group, keep, length, step)), size
    return None if best is None else best[1]


def _sample(rows: np.ndarray) -> np.ndarray:
    """Return some runs: no group of all of them holds fewer elements than the fullest here."""
    outer, _, step = rows.shape
    return np.ascontiguousarray(rows[:: -(-outer // _SAMPLE), :_LONGEST, :: -(-step // 4)])


def _smallest(held: Mapping[int, int], elements: int, width: int, length: int) -> tuple[int, int, int]:
    """Return the bytes, size and kept elements of the smallest groups."""
    sizes = [
        (groups.bytes_of(elements, width, size, max(1, keep), length), size, max(1, keep))
        for size, keep in held.items()
        if keep < size
    ]
    return min(sizes, default=(elements * width + 1, 0, 0))


def unpack(
    path: Path, stored: Mapping[str, StoredTensor], packed: Mapping[str, Packed]
) -> dict[str, StoredTensor]:
    """Return the model's tensors from those of the file; each is unpacked when it is read."""
    parts = {part for name, each in packed.items() for part in each.parts(name)}
    tensors = {name: tensor for name, tensor in stored.items() if name not in parts}
    for name, each in packed.items():
        index, values = (stored[part] for part in each.parts(name))
        tensors[name] = StoredTensor(each.dtype, each.shape, _placed(path, name, each, index, values))
    return tensors


def _placed(
    path: Path, name: str, packed: Packed, index: StoredTensor, values: StoredTensor
) -> Callable[[], np.ndarray]:
    def read() -> np.ndarray:
        where, what = index.read(), _bits(values.read(), packed.dtype)
        out = np.zeros(packed.pattern.elements, what.dtype)
        try:
            packed.pattern.place(where, what, out)
        except ValueError as error:
            raise damaged(path, f"packed tensor {quoted(name)} is wrong: {error}") from error
        return out.view(np.uint8)

    return read


def read_packed(entries: Mapping[str, Any], stored: Shapes) -> dict[str, Packed]:
    """
    Return what a manifest says about packed tensors, each held against its parts in the file.

    Raises
    ------
    KeyError, TypeError, ValueError
        If an entry is not as the format has it, or its parts have other types or shapes.
    """
    found = {}
    for name, entry in entries.items():
        packed = _read_entry(name, entry, stored)
        if name in stored:
            raise ValueError(f"{quoted(name)} is there packed and as it is")
        for part, shape in packed.shapes(name).items():
            if stored[part] != shape:
                raise ValueError(f"{quoted(part)} is {stored[part]}, not {shape}")
        found[name] = packed
    return found


def _read_entry(name: str, entry: Any, stored: Shapes) -> Packed:
    dtype, shape, pattern = entry["dtype"], entry["shape"], entry["pattern"]
    if not isinstance(dtype, str) or dtype not in WIDTHS or not are_lengths(shape):
        raise ValueError(f"{quoted(name)} is {quoted(dtype)} {quoted(shape)}")
    elements = math.prod(shape)
    if pattern in (Bitmask.name, Bytemask.name):
        (count,), (length,) = (stored[f"{name}:{part}"][1] for part in (VALUES, Bitmask.part))
        small = Bitmask(elements, count) if pattern == Bitmask.name else bytemask(elements, count, length)
        return Packed(dtype, tuple(shape), small)
    if pattern == Groups.name:
        numbers = [entry[key] for key in ("size", "keep", "length", "step")]
        if not all(map(is_length, numbers)):
            raise ValueError(f"the groups of {quoted(name)} are {quoted(numbers)}")
        return Packed(dtype, tuple(shape), groups.checked(elements, *numbers))
    raise ValueError(f"{quoted(name)} has the unknown pattern {quoted(pattern)}")
