"""A graph's arguments, operations and nested shapes as plain JSON, and back from an allow-list."""

from __future__ import annotations

import dataclasses
import math
import operator
import re
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import fx
from torch._ops import OpOverload

from pruners import StateError

from .regions import enter_autocast, leave_autocast
from .structures import Structure

_OPERATORS = """getitem add sub mul floordiv mod truediv neg pos pow abs eq ne lt le gt ge and_ or_
    not_"""
_SYMBOLIC = "sym_max sym_min sym_int sym_float sym_not sym_ite sym_sum rms_norm"
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{f"operator.{name}": getattr(operator, name) for name in _OPERATORS.split()},
    **{f"torch.{name}": getattr(torch, name) for name in _SYMBOLIC.split() if name in vars(torch)},
    **{f"math.{name}": getattr(math, name) for name in ("floor", "ceil", "trunc", "sqrt")},
    "pruners.enter_autocast": enter_autocast,
    "pruners.leave_autocast": leave_autocast,
}
"""Functions that a stored graph may call, besides operations of the libraries in `_LIBRARIES`."""
_NAMES = {function: name for name, function in _FUNCTIONS.items()}
_LIBRARIES = ("aten", "torchvision")
_REFUSED = frozenset(["from_file"])
"""Operations that reach outside the tensors they are given."""
_OPERATION = re.compile(r"(\w+)\.(\w+)\.(\w+)")
_KINDS: dict[str, type] = {
    "dtype": torch.dtype,
    "layout": torch.layout,
    "memory_format": torch.memory_format,
}


def target_name(node: fx.Node) -> str:
    """Return the name under which a node's operation is stored; raise where it cannot be loaded again."""
    if isinstance(node.target, OpOverload):
        library, _, name = node.target._schema.name.partition("::")
        if library in _LIBRARIES and name not in _REFUSED:
            return f"{library}.{name}.{node.target._overloadname}"
    elif node.target in _NAMES:
        return _NAMES[node.target]
    raise StateError(
        f"node {node.name!r} calls {node.target}, which is no operation that a stored graph may call"
    )


def target_of(name: Any) -> Callable[..., Any]:
    """Return the operation of this name; raise for any that a stored graph may not call."""
    if isinstance(name, str) and name in _FUNCTIONS:
        return _FUNCTIONS[name]
    parts = _OPERATION.fullmatch(name) if isinstance(name, str) else None
    if parts is not None and parts[1] in _LIBRARIES and parts[2] not in _REFUSED:
        packet = getattr(getattr(torch.ops, parts[1]), parts[2], None)
        found = getattr(packet, parts[3], None)
        if isinstance(found, OpOverload):
            return found
    raise StateError(
        f"the stored graph calls {name!r}, which this PyTorch lacks or a stored graph may not call"
    )


def packed(value: Any) -> Any:
    """Return an argument as JSON."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, fx.Node):
        return {"node": value.name}
    if isinstance(value, complex):
        return {"complex": [packed(value.real), packed(value.imag)]}
    if isinstance(value, slice):
        return {"slice": [packed(each) for each in (value.start, value.stop, value.step)]}
    if isinstance(value, (list, tuple)):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [packed(each) for each in value]}
    if isinstance(value, torch.device):
        return {"device": str(value)}
    for kind, type_ in _KINDS.items():
        if isinstance(value, type_):
            return {kind: str(value).removeprefix("torch.")}
    raise StateError(f"a graph with the argument {value!r}, a {type(value).__name__}, cannot be stored")


def unpacked(value: Any, nodes: Mapping[str, fx.Node]) -> Any:
    """Return an argument that was packed."""
    if value is None or isinstance(value, (bool, int, str, float)):
        return value
    if not isinstance(value, dict) or len(value) != 1:
        raise _unknown(value)
    ((kind, inner),) = value.items()
    if kind == "node" and inner in nodes:
        return nodes[inner]
    if kind == "float" and inner in ("inf", "-inf", "nan"):
        return float(inner)
    if kind in ("list", "tuple", "slice", "complex") and isinstance(inner, list):
        made = [unpacked(each, nodes) for each in inner]
        return {"list": list, "tuple": tuple}[kind](made) if kind in ("list", "tuple") else _built(kind, made)
    if kind == "device" and isinstance(inner, str):
        return torch.device(inner)
    if kind in _KINDS and isinstance(inner, str) and isinstance(getattr(torch, inner, None), _KINDS[kind]):
        return getattr(torch, inner)
    raise _unknown(value)


def _built(kind: str, parts: Sequence[Any]) -> Any:
    if len(parts) != (3 if kind == "slice" else 2):
        raise _unknown({kind: parts})
    return slice(*parts) if kind == "slice" else complex(*parts)


def packed_structure(structure: Structure, what: str) -> dict[str, Any]:
    """Return nested shapes as JSON; `what` is for the message."""
    kind, keys = structure.kind, structure.keys
    if kind == "registered":
        kind = _alike(structure, what)
    made: dict[str, Any] = {"kind": kind}
    if keys:
        made["keys"] = packed(list(keys))
    if kind == "named":
        made["name"] = structure.type.__name__
    if structure.children:
        made["children"] = [packed_structure(child, what) for child in structure.children]
    return made


def _alike(structure: Structure, what: str) -> str:
    """Return which plain container stands for one whose type is the user's."""
    if structure.keys and dataclasses.is_dataclass(structure.type):
        return "named"
    if structure.keys and isinstance(structure.type, type) and issubclass(structure.type, dict):
        return "dict"
    raise StateError(
        f"{what} hold a {structure.type}, which cannot be built without the user's code; let the model "
        "take and return tuples, lists, dicts and dataclasses"
    )


def unpacked_structure(value: Any) -> Structure:
    """Return nested shapes that were packed; a named tuple is of a new type of the same name."""
    if not isinstance(value, dict) or not isinstance(value.get("children", []), list):
        raise _unknown(value)
    kind = value.get("kind")
    children = tuple(unpacked_structure(child) for child in value.get("children", []))
    keys = tuple(unpacked(value.get("keys", {"list": []}), {}))
    counted = kind in ("dict", "ordered", "named")
    if kind not in ("leaf", "tuple", "list", "dict", "ordered", "named") or len(keys) != counted * len(
        children
    ):
        raise _unknown(value)
    if kind != "named":
        return Structure(kind, children, keys)
    names = (value.get("name"), *keys)
    if not all(isinstance(name, str) and name.isidentifier() for name in names):
        raise _unknown(value)
    return Structure(kind, children, keys, namedtuple(names[0], keys))


def _unknown(value: Any) -> StateError:
    text = repr(value)
    return StateError(f"the stored graph holds {text[:80]}{'...' * (len(text) > 80)}, which means nothing")
