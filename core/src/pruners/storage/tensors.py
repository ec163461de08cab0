"""Tensors on their way between a framework and a file: a type, a shape, and the bytes when asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from attrs import field, frozen

from ..errors import StateError

WIDTHS = {
    **dict.fromkeys(("BOOL", "U8", "I8"), 1),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 1),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 2),
    **dict.fromkeys(("I32", "U32", "F32"), 4),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 8),
}
"""Bytes per element of every type that can be stored, by its name in safetensors."""

NUMPY = {
    "bool": "BOOL",
    "complex64": "C64",
    "bfloat16": "BF16",
    **{f"uint{bits}": f"U{bits}" for bits in (8, 16, 32, 64)},
    **{f"int{bits}": f"I{bits}" for bits in (8, 16, 32, 64)},
    **{f"float{bits}": f"F{bits}" for bits in (16, 32, 64)},
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "float8_e8m0fnu": "F8_E8M0",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
}
"""Names in safetensors by NumPy's; what NumPy itself lacks is from ml_dtypes."""

Sizes = Mapping[str, Mapping[str, "int | tuple[int, ...]"]]
"""``{module: {attribute: integer, or several}}``: what a model holds as plain integers."""


@frozen(eq=False)
class StoredTensor:
    """One tensor: what is known about it at once, and its bytes when they are wanted."""

    dtype: str
    """A key of `WIDTHS`."""
    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]
    """Return its `nbytes` bytes, uint8 (nbytes,): little-endian, the last axis fastest."""

    @property
    def nbytes(self) -> int:
        """Number of bytes."""
        return math.prod(self.shape) * WIDTHS[self.dtype]

    @property
    def kind(self) -> str:
        """What its elements are: "float", "integer", "boolean" or "complex"."""
        kinds = {"B": "boolean", "C": "complex", "U": "integer", "I": "integer"}
        return "float" if self.dtype == "BF16" else kinds.get(self.dtype[0], "float")

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape}"


@frozen(eq=False, kw_only=True)
class ModelState:
    """Everything of a model that goes into a file; tensors are read one by one as they are written."""

    tensors: Mapping[str, StoredTensor]
    """Each tensor once, under the first of its names."""
    aliases: Mapping[str, str] = field(factory=dict)
    """Other names of the same memory -> the first one."""
    transient: frozenset[str] = frozenset()
    """Names in `tensors` that the framework's own state leaves out."""
    sizes: Sizes = field(factory=dict)
    """Every module by name, with the plain integers and tuples or lists of integers it holds."""
    tags: Mapping[str, str] = field(factory=dict)
    """What else the file's header should say, for other readers."""
    form: str = "module"
    """What kind of model this is: "module" needs the user's code, "graph" does not."""
    program: Mapping[str, Any] = field(factory=dict)
    """What a model that needs no code computes, as JSON."""


def from_array(name: str, array: np.ndarray) -> StoredTensor:
    """
    Return a NumPy array as a tensor to store.

    Raises
    ------
    StateError
        If the format has no type for it; `name` is for the message.
    """
    dtype = NUMPY.get(array.dtype.name)
    if dtype is None:
        raise StateError(f"array {name!r} is of type {array.dtype}, for which safetensors has no name")
    return StoredTensor(dtype, array.shape, lambda: _bytes(array))


def _bytes(array: np.ndarray) -> np.ndarray:
    native = array.dtype.isnative
    little = array if native else array.astype(array.dtype.newbyteorder("="))
    return np.ascontiguousarray(little).reshape(-1).view(np.uint8)


def to_array(name: str, tensor: StoredTensor) -> np.ndarray:
    """
    Return a stored tensor as a NumPy array of its own memory.

    Raises
    ------
    StateError
        If NumPy has no type for it, or the file is damaged; `name` is for the message.
    """
    return tensor.read().view(_numpy_type(name, tensor.dtype)).reshape(tensor.shape)


def _numpy_type(name: str, dtype: str) -> np.dtype[Any]:
    known = next(numpy for numpy, stored in NUMPY.items() if stored == dtype)
    if dtype != "BF16" and not dtype.startswith("F8"):
        return np.dtype(known)
    try:
        import ml_dtypes

        found: np.dtype[Any] = np.dtype(getattr(ml_dtypes, known))
        return found
    except (ImportError, AttributeError) as error:
        raise StateError(
            f"tensor {name!r} is of type {dtype}, which NumPy has from ml_dtypes: pip install -U ml-dtypes"
        ) from error
