"""The safetensors container: a JSON header and the tensors' bytes, nothing else.

Not through the safetensors library, whose NumPy part has no float8, and no bfloat16 in its older
versions, and wants the whole model in host memory to write it. Files are the same. They are read
and not mapped unless asked for: each tensor goes straight to where it stays, and a file that is cut
short meanwhile is an error and not the end of the process.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import reprlib
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from attrs import frozen

from ..errors import StateError
from ..progress import Counted
from .tensors import WIDTHS, StoredTensor

LONGEST_HEADER = 100_000_000
"""Bytes; the format allows no more."""
METADATA = "__metadata__"
_PREFIX = 8
_ALIGNMENT = 8
_MOST = 1 << 62
"""No shape has more elements."""

Checksums = Mapping[str, str]
"""``{tensor name: crc32 of its bytes, 8 hexadecimal digits}``."""

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 200


def quoted(value: Any) -> str:
    """Return what a file says for use in a message: a damaged file can say much."""
    return _short.repr(value)


def checksum(data: Any) -> str:
    """Return the crc32 of bytes as 8 hexadecimal digits."""
    return f"{zlib.crc32(data):08x}"


def write(
    path: Path,
    tensors: Mapping[str, StoredTensor],
    describe: Callable[[Checksums], Mapping[str, str]],
) -> None:
    """
    Write tensors and what `describe` says of their checksums, or leave `path` as it was.

    One tensor is in memory at a time. The header comes first in the file, the checksums are known
    last: it is written twice, so `describe` returns text of the same length for any checksums.

    Raises
    ------
    StateError
        If the file cannot be written; a file that was there is still there.
    """
    names = sorted(tensors, key=lambda name: (-WIDTHS[tensors[name].dtype], name))
    sums = dict.fromkeys(names, "0" * 8)
    blank = _header(names, tensors, describe(sums))
    try:
        with _replacing(path) as file:
            file.write(blank)
            for name in Counted(names, "tensors written"):
                data = tensors[name].read()
                sums[name] = checksum(data)
                file.write(data.data)
            file.seek(0)
            file.write(_header(names, tensors, describe(sums)))
    except OSError as error:
        raise StateError(f"{str(path)!r} cannot be written: {error.strerror or error}") from error


def _header(names: list[str], tensors: Mapping[str, StoredTensor], metadata: Mapping[str, str]) -> bytes:
    entries: dict[str, Any] = {METADATA: dict(metadata)}
    end = 0
    for name in names:
        if name == METADATA:
            raise StateError(f"a tensor cannot be named {METADATA!r}: safetensors keeps that name for itself")
        begin, end = end, end + tensors[name].nbytes
        tensor = tensors[name]
        entries[name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    if len(text) > LONGEST_HEADER:
        raise StateError(f"the file's header would be {len(text)} bytes; safetensors allows {LONGEST_HEADER}")
    return len(text).to_bytes(_PREFIX, "little") + text


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a new file beside `path` that takes its place once it is complete, and never before."""
    target = Path(os.path.realpath(path))
    beside = target.with_name(f".{target.name}.{os.getpid()}.{os.urandom(4).hex()}")
    file = open(beside, "xb")  # noqa: SIM115  # closed below, before it is moved
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise


@frozen(eq=False)
class Container:
    """An open file: its header, checked, and its tensors when they are asked for."""

    path: Path
    metadata: Mapping[str, str]
    tensors: Mapping[str, StoredTensor]


@contextmanager
def reading(path: Path, *, mapped: bool = False) -> Iterator[Container]:
    """
    Open a safetensors file; its tensors can be read until the context ends, if mapped as long as they live.

    Raises
    ------
    StateError
        If there is no such file, it cannot be read, or it is damaged.
    """
    if not path.is_file():
        raise StateError(f"there is no file {str(path)!r}")
    try:
        file = path.open("rb")
    except OSError as error:
        raise StateError(f"{str(path)!r} cannot be read: {error.strerror or error}") from error
    with file:
        yield _open(path, file, mapped)


def _open(path: Path, file: BinaryIO, mapped: bool) -> Container:
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(_PREFIX), "little")
    if size < _PREFIX or length > min(size - _PREFIX, LONGEST_HEADER):
        raise damaged(path, f"it has {size} bytes, and no header that fits in them")
    header = parse(path, file.read(length))
    metadata = header.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(each, str) for each in metadata.values()):
        raise damaged(path, f"{METADATA} is not a table of texts")
    begin = _PREFIX + length
    places = {name: _place(path, name, entry) for name, entry in header.items()}
    _check_cover(path, places, size - begin)
    data = _mapped(path, file) if mapped else None
    tensors = {
        name: StoredTensor(dtype, shape, _reader(path, file, data, name, begin + first, last - first))
        for name, (dtype, shape, first, last) in places.items()
    }
    return Container(path, metadata, tensors)


def parse(path: Path, text: bytes | str) -> dict[str, Any]:
    """Return a JSON object, or raise `StateError`: no key twice, no NaN, no deep nesting."""
    try:
        value = json.loads(
            text if isinstance(text, str) else text.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
        )
    except (ValueError, RecursionError) as error:
        raise damaged(path, f"its header is not JSON ({type(error).__name__})") from error
    if not isinstance(value, dict):
        raise damaged(path, "its header is not a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _place(path: Path, name: str, entry: Any) -> tuple[str, tuple[int, ...], int, int]:
    """Return a tensor's type, shape, first byte and one past its last, checked one by one."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise damaged(path, f"the entry of tensor {quoted(name)} is not a type, a shape and two offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in WIDTHS:
        raise damaged(path, f"tensor {quoted(name)} is of the unknown type {quoted(dtype)}")
    if not are_lengths(shape) or not are_lengths(offsets) or len(offsets) != 2:
        raise damaged(path, f"tensor {quoted(name)} has shape {quoted(shape)}, offsets {quoted(offsets)}")
    if offsets[1] - offsets[0] != math.prod(shape) * WIDTHS[dtype]:
        raise damaged(path, f"tensor {quoted(name)} has offsets {offsets} for {dtype} {quoted(shape)}")
    return dtype, tuple(shape), offsets[0], offsets[1]


def are_lengths(value: Any) -> bool:
    """Return whether `value` is a list of lengths, as a shape is."""
    return isinstance(value, list) and len(value) <= 64 and all(map(is_length, value))


def is_length(value: Any) -> bool:
    """Return whether `value` is an integer from 0 that a size can be."""
    return type(value) is int and 0 <= value < _MOST


def _check_cover(path: Path, places: Mapping[str, tuple[str, Any, int, int]], size: int) -> None:
    """Raise unless the tensors lie one behind the other and fill the file."""
    end = 0
    for name, (_, _, first, last) in sorted(places.items(), key=lambda item: item[1][2:]):
        if first != end:
            raise damaged(path, f"tensor {quoted(name)} begins at byte {first} of the data, not at {end}")
        end = last
    if end != size:
        raise damaged(path, f"its tensors need {end} bytes of data, it has {size}")


def _mapped(path: Path, file: BinaryIO) -> np.ndarray:
    """Return the file's bytes, read-only; the mapping goes with the last view of them."""
    try:
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    except OSError as error:
        raise StateError(f"{str(path)!r} cannot be mapped: {error.strerror or error}") from error


def _reader(
    path: Path, file: BinaryIO, mapped: np.ndarray | None, name: str, begin: int, count: int
) -> Callable[[], np.ndarray]:
    def read() -> np.ndarray:
        if mapped is not None:
            return mapped[begin : begin + count]
        data = np.empty(count, np.uint8)
        try:
            file.seek(begin)
            found = file.readinto(data.data) if count else 0  # type: ignore[attr-defined]
        except OSError as error:
            raise StateError(f"{str(path)!r} cannot be read: {error.strerror or error}") from error
        if found != count:
            raise damaged(path, f"tensor {quoted(name)} ends after {found} of {count} bytes")
        return data

    return read


def damaged(path: Path, why: str) -> StateError:
    """Return the error that says a file cannot be believed."""
    return StateError(f"{str(path)!r} is not a whole safetensors file: {why}")
