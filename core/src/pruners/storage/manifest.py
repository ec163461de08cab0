"""What a file says about the model in it: plain JSON, checked before it is believed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve, field, frozen

from ..errors import StateError
from ..structure.plan import Kept
from .container import Checksums, Container, are_lengths, checksum, damaged, is_length, parse, quoted
from .packing import Packed, Shapes, read_packed, unpack
from .tensors import Sizes, StoredTensor

FORMAT = 1
PACKED_FORMAT = 2
"""Of files with packed tensors."""
KEY = "pruners"
"""Where the manifest is in the file's metadata; its own checksum is beside it."""
SUM_KEY = "pruners.crc32"
_MOST = 1 << 63


@frozen(eq=False, kw_only=True)
class Manifest:
    """
    What a file says about its model, beside the tensors.

    As JSON in the header's metadata under `KEY`: ``format`` (1, or 2 with packed tensors), ``pruners``
    (the version that wrote it), ``backend``, ``form``, and the fields below; ``tensors`` repeats type
    and shape and adds a checksum; ``kept`` lists each set of indices once and names them by number.
    """

    backend: str
    form: str = "module"
    """ "module": the tensors and integers of the user's own module; "graph": a whole program."""
    tensors: Shapes = field(factory=dict)
    """Type and shape of each tensor in the file."""
    checksums: Checksums = field(factory=dict)
    packed: Mapping[str, Packed] = field(factory=dict)
    """The model's tensors that are two tensors in the file."""
    aliases: Mapping[str, str] = field(factory=dict)
    """Other names of tied tensors -> the name they are stored under."""
    transient: Mapping[str, tuple[int, ...]] = field(factory=dict)
    """Shapes of what the framework's state leaves out and the file, too: the user's code makes it."""
    sizes: Sizes = field(factory=dict)
    """Integers, and tuples or lists of them, that the modules hold."""
    kept: Kept = field(factory=dict)
    """What all removals together have kept of each axis, in the coordinates of the first model."""
    program: Mapping[str, Any] = field(factory=dict)
    """What a program computes, in the words of its backend; not there for a module."""

    @property
    def shapes(self) -> Shapes:
        """Type and shape of each of the model's tensors, packed or not."""
        parts = {part for name, each in self.packed.items() for part in each.parts(name)}
        plain = {name: shape for name, shape in self.tensors.items() if name not in parts}
        return {**plain, **{name: (each.dtype, each.shape) for name, each in self.packed.items()}}

    def to_metadata(self, checksums: Checksums, version: str) -> dict[str, str]:
        """Return the texts for the file's header."""
        sets, kept = _pack(self.kept)
        text = json.dumps(
            {
                "format": PACKED_FORMAT if self.packed else FORMAT,
                "pruners": version,
                "backend": self.backend,
                "form": self.form,
                "tensors": {
                    name: {"dtype": dtype, "shape": list(shape), "crc32": checksums[name]}
                    for name, (dtype, shape) in self.tensors.items()
                },
                **({"packed": _entries(self.packed)} if self.packed else {}),
                "aliases": dict(self.aliases),
                "transient": {name: list(shape) for name, shape in self.transient.items()},
                "sizes": {module: dict(values) for module, values in self.sizes.items() if values},
                "kept": {"sets": sets, "parameters": kept},
                **({"program": dict(self.program)} if self.program else {}),
            },
            separators=(",", ":"),
        )
        return {KEY: text, SUM_KEY: checksum(text.encode())}

    @classmethod
    def of(cls, file: Container) -> Manifest:
        """
        Return the manifest of an open file, held against its header.

        Raises
        ------
        StateError
            If there is none, it is damaged, of a later format, or does not fit the file.
        """
        text = file.metadata.get(KEY)
        if text is None:
            raise StateError(
                f"{str(file.path)!r} says nothing about a model's structure: pruners.save did not write it"
            )
        if file.metadata.get(SUM_KEY) != checksum(text.encode("utf-8", "surrogatepass")):
            raise damaged(file.path, "its manifest does not match its checksum")
        found = _read(file.path, parse(file.path, text))
        shapes = {name: (tensor.dtype, tensor.shape) for name, tensor in file.tensors.items()}
        if shapes != found.tensors:
            raise damaged(file.path, "its manifest lists other tensors than its header")
        return found

    def checked(self, file: Container, *, check: bool = True) -> dict[str, StoredTensor]:
        """Return the model's tensors, each of which is held against its checksum when it is read."""
        stored = file.tensors
        if check:
            stored = {name: self._checked(file.path, name, tensor) for name, tensor in stored.items()}
        return unpack(file.path, stored, self.packed)

    def _checked(self, path: Path, name: str, tensor: StoredTensor) -> StoredTensor:
        def read() -> np.ndarray:
            data = tensor.read()
            if checksum(data) != self.checksums[name]:
                raise damaged(path, f"tensor {quoted(name)} does not match its checksum")
            return data

        return evolve(tensor, read=read)


def _entries(packed: Mapping[str, Packed]) -> dict[str, Any]:
    return {name: each.entry() for name, each in packed.items()}


def _pack(kept: Kept) -> tuple[list[list[int]], dict[str, dict[str, int]]]:
    """Return the different sets of indices, and which of them each axis has."""
    numbers: dict[bytes, int] = {}
    sets: list[list[int]] = []
    named: dict[str, dict[str, int]] = {}
    for name, axes in kept.items():
        for axis, indices in axes.items():
            plain = np.ascontiguousarray(indices, np.int64)
            number = numbers.setdefault(plain.tobytes(), len(sets))
            if number == len(sets):
                sets.append(plain.tolist())
            named.setdefault(name, {})[str(axis)] = number
    return sets, named


def _read(path: Path, value: Mapping[str, Any]) -> Manifest:
    if type(value.get("format")) is not int or value["format"] not in (FORMAT, PACKED_FORMAT):
        raise StateError(
            f"{str(path)!r} has format {quoted(value.get('format'))}, "
            f"this version reads {FORMAT} and {PACKED_FORMAT}; "
            f"pruners {quoted(value.get('pruners'))} wrote it: update pruners"
        )
    try:
        tensors = {
            name: (_text(each["dtype"]), _lengths(each["shape"])) for name, each in _items(value, "tensors")
        }
        if ("packed" in value) != (value["format"] == PACKED_FORMAT):
            raise ValueError(f"format {PACKED_FORMAT}, and no other, has an entry 'packed'")
        packed = read_packed(dict(_items(value, "packed")), tensors) if "packed" in value else {}
        found = Manifest(
            backend=_text(value["backend"]),
            form=_text(value["form"]),
            tensors=tensors,
            checksums={name: _text(each["crc32"]) for name, each in _items(value, "tensors")},
            packed=packed,
            aliases={name: _text(first) for name, first in _items(value, "aliases")},
            transient={name: _lengths(shape) for name, shape in _items(value, "transient")},
            sizes={module: _integers(values) for module, values in _items(value, "sizes")},
            program=dict(_items(value, "program")) if "program" in value else {},
        )
        found = evolve(found, kept=_unpack(value["kept"], found.shapes))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise damaged(path, f"its manifest is wrong: {type(error).__name__}: {quoted(str(error))}") from error
    names = found.shapes
    unknown = [name for name, first in found.aliases.items() if first not in names or name in names]
    if unknown:
        raise damaged(path, f"its manifest ties {quoted(unknown[0])} to no tensor")
    return found


def _items(value: Mapping[str, Any], key: str) -> list[tuple[str, Any]]:
    if not isinstance(value[key], dict):
        raise TypeError(f"{key} is no table")
    return list(value[key].items())


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{quoted(value)} is no text")
    return value


def _lengths(value: Any) -> tuple[int, ...]:
    if not are_lengths(value):
        raise TypeError(f"{quoted(value)} is no shape")
    return tuple(value)


def _integers(values: Any) -> dict[str, int | tuple[int, ...]]:
    if not isinstance(values, dict):
        raise TypeError(f"{quoted(values)} is no table")
    return {
        name: tuple(map(_integer, each)) if isinstance(each, list) else _integer(each)
        for name, each in values.items()
    }


def _integer(value: Any) -> int:
    if type(value) is not int or not -_MOST <= value < _MOST:
        raise TypeError(f"{quoted(value)} is no integer")
    return value


def _unpack(value: Mapping[str, Any], tensors: Shapes) -> Kept:
    sets = [_indices(each) for each in value["sets"]]
    kept: dict[str, dict[int, np.ndarray]] = {}
    for name, axes in _items(value, "parameters"):
        shape = tensors[name][1]
        for text, number in axes.items():
            axis = int(text)
            if not is_length(number) or not 0 <= axis < len(shape) or len(sets[number]) != shape[axis]:
                raise ValueError(
                    f"what was kept of {quoted(name)}, axis {axis}, does not fit its shape {shape}"
                )
            kept.setdefault(name, {})[axis] = sets[number]
    return kept


def _indices(value: Any) -> np.ndarray:
    if not isinstance(value, list) or not all(map(is_length, value)):
        raise TypeError(f"{quoted(value)} are no indices")
    indices = np.array(value, np.int64)
    if (np.diff(indices) <= 0).any():
        raise ValueError("kept indices do not rise")
    return indices
