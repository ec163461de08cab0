"""One dispatched operation with its arguments by name, and the table of translations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from attrs import frozen
from torch import Tensor
from torch._ops import OpOverload

if TYPE_CHECKING:
    from .tape import Tape

Translation = Callable[["Tape", "Step"], None]
"""Writes one step down as neutral operations."""

TRANSLATIONS: dict[str, Translation] = {}
"""Operation name without its overload and a trailing underscore -> its translation."""

IGNORED = frozenset(
    name
    for names in (
        "size stride numel dim storage_offset sym_size sym_stride sym_numel sym_storage_offset",
        "is_same_size is_pinned _version _has_compatible_shallow_copy_type record_stream",
        "_local_scalar_dense _assert_async _assert_scalar _assert_tensor_metadata",
    )
    for name in names.split()
)
"""Operations that only ask about a tensor."""


class Step:
    """
    One operation that ran.

    Parameters
    ----------
    signature : Signature
        What is known of the operation.
    args, kwargs : tuple, mapping
        What it was called with.
    result : object
        What it returned.
    """

    __slots__ = ("_args", "_arguments", "_kwargs", "_read", "_results", "_signature", "result")

    def __init__(
        self, signature: Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any
    ) -> None:
        self._signature, self._args, self._kwargs, self.result = signature, args, kwargs, result
        self._arguments: dict[str, Any] | None = None
        self._read: list[Tensor] | None = None
        self._results: list[Tensor] | None = None

    @property
    def name(self) -> str:
        """Its name, without overload and without an underscore at the end."""
        return self._signature.name

    @property
    def arguments(self) -> dict[str, Any]:
        """Its arguments by name, defaults filled in."""
        if self._arguments is None:
            self._arguments = self._signature.bind(self._args, self._kwargs)
        return self._arguments

    @property
    def rank(self) -> int:
        """Number of axes of `self`."""
        return int(self.arguments["self"].ndim)

    def axis(self, name: str = "dim") -> int:
        """Return an axis of `self` given as an argument, counted from 0."""
        return int(self.arguments[name]) % max(self.rank, 1)

    def axes(self, name: str = "dim") -> tuple[int, ...]:
        """Return axes of `self`, counted from 0; absent or empty means all."""
        given = self.arguments.get(name)
        if given is None or given == [] or given == ():
            return tuple(range(self.rank))
        listed = (given,) if isinstance(given, int) else given
        return tuple(sorted(int(axis) % max(self.rank, 1) for axis in listed)) if self.rank else ()

    @property
    def read(self) -> list[Tensor]:
        """Every tensor among the arguments, in order, without the one to write into."""
        if self._read is None:
            self._read = tensors(self._args)
            if self._kwargs:
                self._read += tensors([value for name, value in self._kwargs.items() if name != "out"])
        return self._read

    @property
    def results(self) -> list[Tensor]:
        """Every tensor that was returned, in order."""
        if self._results is None:
            self._results = [self.result] if isinstance(self.result, Tensor) else tensors(self.result)
        return self._results


def tensors(values: Any) -> list[Tensor]:
    """Return the tensors in nested lists, tuples and mappings, in order."""
    found: list[Tensor] = []
    _collect(values, found)
    return found


def _collect(values: Any, found: list[Tensor]) -> None:
    if isinstance(values, Tensor):
        found.append(values)
    elif isinstance(values, (list, tuple)):
        for each in values:
            if isinstance(each, Tensor):
                found.append(each)
            elif isinstance(each, (list, tuple, dict)):
                _collect(each, found)
    elif isinstance(values, dict):
        _collect(list(values.values()), found)


def address(tensor: Tensor) -> int:
    """Return where a tensor's numbers begin; 0 where they lie in no memory of their own."""
    if tensor.layout != torch.strided or tensor.device.type == "meta" or not tensor.numel():
        return 0
    return tensor.data_ptr()


def translates(*names: str) -> Callable[[Translation], Translation]:
    """Enter a function in the table under these names."""

    def enter(function: Translation) -> Translation:
        TRANSLATIONS.update(dict.fromkeys(names, function))
        return function

    return enter


@frozen(eq=False)
class Signature:
    """What is known of one operation before it runs."""

    name: str
    shown: str
    parameters: tuple[tuple[str, Any], ...]
    written: tuple[str, ...]
    """Arguments it writes into."""
    translation: Translation | None
    """None: it only asks about a tensor."""

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments by name, defaults filled in."""
        given = dict(self.parameters)
        given.update(zip(given, args, strict=False))
        given.update(kwargs)
        return given

    def targets(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Tensor]:
        """Return the tensors it writes into."""
        given = self.bind(args, kwargs)
        return tensors([given[name] for name in self.written])


def signature(function: OpOverload, fallback: Translation, pointwise: Translation) -> Signature:
    """Return what is known of an operation; one without a translation gets a fallback."""
    schema = function._schema
    namespace, _, name = schema.name.partition("::")
    base = name[:-1] if name.endswith("_") and not name.endswith("__") else name
    written = tuple(
        argument.name
        for argument in schema.arguments
        if argument.alias_info is not None and argument.alias_info.is_write
    )
    return Signature(
        name=base,
        shown=f"{namespace}.{name}",
        parameters=tuple((argument.name, argument.default_value) for argument in schema.arguments),
        written=written,
        translation=_translation(function, base, fallback, pointwise),
    )


def _translation(
    function: OpOverload, base: str, fallback: Translation, pointwise: Translation
) -> Translation | None:
    if base in IGNORED:
        return None
    for name in (base, base.removesuffix("_copy")):
        if name in TRANSLATIONS:
            return TRANSLATIONS[name]
    return pointwise if torch.Tag.pointwise in function.tags else fallback
