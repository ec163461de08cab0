"""How nested inputs and outputs lie flat, as plain data."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch.utils._pytree as pytree
from attrs import frozen

from pruners import OptionError

_PLAIN: dict[Any, str] = {tuple: "tuple", list: "list", dict: "dict", OrderedDict: "ordered"}
_BUILD: dict[str, Any] = {"tuple": tuple, "list": list}


@frozen(eq=False)
class Structure:
    """One level of nested values; a leaf is anything that is no container."""

    kind: str = "leaf"
    """``leaf``, ``tuple``, ``list``, ``dict``, ``ordered``, ``named`` (tuple) or ``registered`` elsewhere."""
    children: tuple[Structure, ...] = ()
    keys: tuple[Any, ...] = ()
    """Keys of a mapping, field names of a named tuple."""
    type: Any = None
    context: Any = None

    @classmethod
    def of(cls, spec: pytree.TreeSpec) -> Structure:
        """Return what PyTorch's own description of a nested value says."""
        if spec.is_leaf():
            return cls()
        children = tuple(cls.of(child) for child in spec.children())
        if spec.type in _PLAIN:
            keys = tuple(spec.context) if spec.type in (dict, OrderedDict) else ()
            return cls(_PLAIN[spec.type], children, keys)
        fields = getattr(spec.context, "_fields", None)
        if isinstance(fields, tuple):
            return cls("named", children, fields, spec.context)
        return cls("registered", children, _names(spec.context, len(children)), spec.type, spec.context)

    @property
    def leaves(self) -> int:
        """Number of leaves."""
        return 1 if self.kind == "leaf" else sum(child.leaves for child in self.children)

    def flatten(self, value: Any, where: str) -> Iterator[Any]:
        """Yield the leaves of a value that must be built like this; `where` names it in the error."""
        if self.kind == "leaf":
            yield value
            return
        parts = self._parts(value, where)
        for number, (child, part) in enumerate(zip(self.children, parts, strict=True)):
            yield from child.flatten(part, f"{where}[{self.keys[number] if self.keys else number!r}]")

    def build(self, leaves: Iterator[Any]) -> Any:
        """Return leaves put together again."""
        if self.kind == "leaf":
            return next(leaves)
        parts = [child.build(leaves) for child in self.children]
        if self.kind in _BUILD:
            return _BUILD[self.kind](parts)
        if self.kind == "named":
            return self.type(*parts)
        if self.kind == "registered":
            return pytree.SUPPORTED_NODES[self.type].unflatten_fn(parts, self.context)
        made = dict(zip(self.keys, parts, strict=True))
        return OrderedDict(made) if self.kind == "ordered" else made

    def _parts(self, value: Any, where: str) -> Sequence[Any]:
        if self.kind in ("dict", "ordered"):
            if not isinstance(value, Mapping) or set(value) != set(self.keys):
                raise _wrong(where, f"a mapping with the keys {', '.join(map(repr, self.keys))}", value)
            return [value[key] for key in self.keys]
        if self.kind == "registered":
            if type(value) is not self.type:
                raise _wrong(where, f"a {self.type.__name__}", value)
            return list(pytree.SUPPORTED_NODES[self.type].flatten_fn(value)[0])
        if not isinstance(value, (tuple, list)) or len(value) != len(self.children):
            raise _wrong(where, f"a {self.kind} of {len(self.children)}", value)
        return value


def _names(context: Any, count: int) -> tuple[Any, ...]:
    """Return the names that a registered container gives its children, where it says so."""
    for names in (context, *context) if isinstance(context, (list, tuple)) else ():
        listed = isinstance(names, (list, tuple)) and all(isinstance(each, str) for each in names)
        if listed and len(names) == count:
            return tuple(names)
    return ()


def _wrong(where: str, wanted: str, value: Any) -> OptionError:
    size = f" of {len(value)}" if isinstance(value, (tuple, list)) else ""
    keys = f" with the keys {', '.join(map(repr, value))}" if isinstance(value, Mapping) else ""
    return OptionError(f"{where}: got a {type(value).__name__}{size}{keys}; this program takes {wanted}")
