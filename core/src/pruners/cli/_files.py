"""Weights in files: which suffixes there are, and reading them as dicts of arrays."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import PrunersError, RecipeError

if TYPE_CHECKING:
    from ..protocols import OpenModel

_LONGEST_HEADER = 100_000_000
"""Bytes; the format allows no more."""


def read_arrays(path: Path) -> dict[str, Any]:
    """
    Return the arrays of a ``.safetensors`` or ``.npz`` file by name.

    Raises
    ------
    PrunersError
        If there is no such file, it is damaged, or NumPy has no type for what it holds.
    """
    if not path.is_file():
        raise PrunersError(f"there is no file {str(path)!r}")
    return READERS[path.suffix.lower()](path)


def _read_npz(path: Path) -> dict[str, Any]:
    import numpy as np

    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = dict(arrays)
    except Exception as error:  # NumPy passes on what zipfile and zlib raise: of many types
        raise _unreadable(path, error) from error
    for name, array in found.items():
        if not isinstance(array, np.ndarray):
            raise PrunersError(f"{str(path)!r} is not a readable .npz file: {name!r} is no array")
        if array.dtype.kind == "V":
            raise PrunersError(
                f"{str(path)!r}: array {name!r} is of type {array.dtype}, raw bytes: .npz has no type for "
                "bfloat16; write the weights to a .safetensors file"
            )
    if not found:
        raise PrunersError(f"{str(path)!r} holds no arrays")
    return found


def _read_safetensors(path: Path) -> dict[str, Any]:
    try:
        from safetensors.numpy import load_file
    except ImportError as error:
        raise PrunersError("reading .safetensors files needs: pip install safetensors") from error
    with suppress(ImportError):
        import ml_dtypes  # noqa: F401  # registers bfloat16 with NumPy
    if _is_packed(path):
        from ..storage.models import read_arrays

        return read_arrays(path)[0]
    try:
        found = load_file(path)
    except Exception as error:  # an error of its own for a damaged file; of many types for a type of tensors
        raise PrunersError(_why(path, error)) from error
    if not found:
        raise PrunersError(f"{str(path)!r} holds no arrays")
    return found


READERS: dict[str, Callable[[Path], dict[str, Any]]] = {".safetensors": _read_safetensors, ".npz": _read_npz}
"""What reads a file, by its suffix."""


def _is_packed(path: Path) -> bool:
    """Return whether zeros were left out of a file; then only Pruners can read it."""
    from ..storage.container import reading
    from ..storage.manifest import KEY

    with suppress(PrunersError), reading(path) as file:
        return '"packed"' in file.metadata.get(KEY, "")
    return False


def _why(path: Path, error: Exception) -> str:
    """Return why a safetensors file could not be read, by the types its header names."""
    types = _types(path)
    if "BF16" in types.values() and not _has_ml_dtypes():
        return f"{str(path)!r} holds bfloat16, which NumPy has from ml_dtypes: pip install ml-dtypes"
    foreign = next((name for name, kind in types.items() if kind.startswith(("F8", "F6", "F4"))), None)
    if foreign is not None:
        return (
            f"{str(path)!r}: tensor {foreign!r} is of type {types[foreign]}, which cannot be read; "
            "weights of 16, 32 and 64 bits can"
        )
    return str(_unreadable(path, error))


def _types(path: Path) -> dict[str, str]:
    """Return ``{tensor name: type}`` from a file's header; empty where it has none."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, _LONGEST_HEADER)))
        return {name: str(entry["dtype"]) for name, entry in header.items() if name != "__metadata__"}
    except Exception:  # the file is damaged: whatever was raised before says how
        return {}


def _has_ml_dtypes() -> bool:
    try:
        import ml_dtypes  # noqa: F401
    except ImportError:
        return False
    return True


def _unreadable(path: Path, error: Exception) -> PrunersError:
    return PrunersError(f"{str(path)!r} is not a readable {path.suffix.lower()} file: {error or type(error)}")


def check_output(path: str, opened: OpenModel, framework: str, source: str) -> None:
    """Raise if this model's weights cannot be written to `path`; nothing is written."""
    if not path.endswith(".npz"):
        return
    if framework != "numpy":
        raise RecipeError(
            f"{source}: output: {path!r} can hold a NumPy model only, not one of {framework}; "
            "write a .safetensors file"
        )
    for name in opened.layers:
        if opened.read(name).dtype.name == "bfloat16":
            raise RecipeError(
                f"{source}: output: {path!r} cannot hold {name!r}: .npz has no type for bfloat16; "
                "write a .safetensors file"
            )
