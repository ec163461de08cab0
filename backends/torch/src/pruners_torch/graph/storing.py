"""A smaller model as tensors and plain JSON, and back: without pickle, without the user's code."""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from pruners import StateError
from pruners.structure.program import Place

from .._parts import Origin
from .model import GraphModel, Held, device_of, held_by, move_arrays, origins_of, routines_of
from .nodes import PLACE, place_of
from .plain import packed, packed_structure, target_name, target_of, unpacked, unpacked_structure
from .routines import Leaf, Routine

FORMAT = 1


def graph_state(model: GraphModel) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """
    Return a model's tensors by their first names, and everything else as JSON.

    Raises
    ------
    pruners.StateError
        If the graph holds something that cannot be loaded without the user's code; it is named.
    """
    held = held_by(model)
    manifest = {
        "format": FORMAT,
        "torch": str(torch.__version__),
        "training": model.training,
        "device": str(device_of(model) or "cpu"),
        "tensors": [_packed_held(each) for each in held],
        "modules": {name: _packed_origin(origin) for name, origin in origins_of(model).items()},
        "routines": {mode: packed_routine(routine) for mode, routine in routines_of(model).items()},
    }
    return {each.names[0]: each.tensor.detach() for each in held}, manifest


def graph_module(tensors: Mapping[str, Tensor], manifest: Mapping[str, Any]) -> GraphModel:
    """
    Return a model made of tensors and of what `graph_state` said about it.

    Nothing but operations on tensors can come out of a manifest: the names in it are looked up in
    an allow-list.

    Raises
    ------
    pruners.StateError
        If the manifest is of another format, damaged, or calls for anything else.
    """
    if not isinstance(manifest, Mapping) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, Mapping) else manifest
        raise StateError(f"the stored graph has format {found!r}; this version of Pruners reads {FORMAT}")
    try:
        held = [_unpacked_held(entry, tensors) for entry in manifest["tensors"]]
        names = {name for each in held for name in each.names}
        routines = {
            mode: unpacked_routine(entry, names)
            for mode, entry in manifest["routines"].items()
            if mode in ("eval", "train")
        }
        origins = {name: _unpacked_origin(entry) for name, entry in manifest["modules"].items()}
        model = GraphModel(held, {mode: routines[mode] for mode in ("eval", "train")}, origins)
        training, device = manifest["training"], torch.device(manifest["device"])
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, RecursionError) as error:
        if isinstance(error, StateError):
            raise
        raise StateError(f"the stored graph is damaged: {type(error).__name__}: {error}") from error
    move_arrays(model, device, device_of(model))
    return model.train(training is True)


def _packed_held(held: Held) -> dict[str, Any]:
    return {
        "names": list(held.names),
        "parameter": isinstance(held.tensor, nn.Parameter),
        "trained": held.tensor.requires_grad,
        "persistent": held.persistent,
    }


def _packed_origin(origin: Origin) -> list[Any]:
    return [origin.type, list(origin.bases), list(origin.weights), origin.groups]


def _unpacked_origin(entry: Any) -> Origin:
    type_, bases, weights, groups = entry
    return Origin(str(type_), tuple(map(str, bases)), tuple(map(str, weights)), int(groups))


def _unpacked_held(entry: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Held:
    names = tuple(entry["names"])
    for name in names:
        if not isinstance(name, str) or not all(map(_sound, name.split("."))):
            raise StateError(f"the stored graph names a tensor {name!r}, which no module can hold")
    if not names or names[0] not in tensors:
        raise StateError(f"the stored graph reads the tensor {names[:1]}, which the file lacks")
    tensor = tensors[names[0]]
    if entry["parameter"] is True:
        tensor = nn.Parameter(tensor, requires_grad=entry["trained"] is True)
    return Held(names, tensor, entry["persistent"] is True)


def _sound(part: str) -> bool:
    """Say whether a part of a tensor's name can stand in the code that is made of a graph."""
    return bool(part) and part.isprintable() and not set(part) & set("\"'\\{}")


def packed_routine(routine: Routine) -> dict[str, Any]:
    """Return one mode's forward pass as JSON."""
    return {
        "inputs": packed_structure(routine.inputs, "the inputs"),
        "outputs": packed_structure(routine.outputs, "the outputs"),
        "leaves": [_packed_leaf(leaf) for leaf in routine.leaves],
        "names": list(routine.names),
        "ranges": {name: list(bounds) for name, bounds in routine.ranges.items()},
        "nodes": [_packed_node(node) for node in routine.graph.nodes],
    }


def unpacked_routine(entry: Mapping[str, Any], tensors: set[str]) -> Routine:
    """Return a forward pass that was packed, over tensors of these names."""
    routine = Routine(
        graph=_unpacked_graph(entry["nodes"], tensors),
        inputs=unpacked_structure(entry["inputs"]),
        outputs=unpacked_structure(entry["outputs"]),
        leaves=tuple(_unpacked_leaf(leaf) for leaf in entry["leaves"]),
        names=tuple(str(name) for name in entry["names"]),
        ranges={
            str(name): (int(low), None if high is None else int(high))
            for name, (low, high) in entry["ranges"].items()
        },
    )
    placeholders = sum(node.op == "placeholder" for node in routine.graph.nodes)
    if not placeholders == len(routine.leaves) == routine.inputs.leaves:
        raise StateError("the stored graph takes other inputs than it describes")
    return routine


def restored(entry: Mapping[str, Any]) -> Routine:
    """Return a forward pass that was packed with the model that holds its tensors."""
    return unpacked_routine(entry, {str(node[2]) for node in entry["nodes"] if node[1] == "get_attr"})


def _packed_leaf(leaf: Leaf) -> dict[str, Any]:
    if leaf.lengths is None:
        return {"name": leaf.name, "value": packed(leaf.value)}
    return {"name": leaf.name, "lengths": list(leaf.lengths)}


def _unpacked_leaf(entry: Mapping[str, Any]) -> Leaf:
    if "lengths" not in entry:
        return Leaf(str(entry["name"]), None, unpacked(entry["value"], {}))
    lengths = tuple(each if isinstance(each, str) else int(each) for each in entry["lengths"])
    return Leaf(str(entry["name"]), lengths)


def _packed_node(node: fx.Node) -> list[Any]:
    """Return ``[name, what it does, its arguments, named arguments, module, line]``."""
    if node.op == "output":
        return ["output", "output", packed(node.args[0])]
    if node.op == "placeholder":
        return [node.name, "placeholder"]
    if node.op == "get_attr":
        return [node.name, "get_attr", str(node.target)]
    place = place_of(node)
    kwargs = {name: packed(value) for name, value in node.kwargs.items()}
    return [node.name, target_name(node), packed(list(node.args)), kwargs, place.module, place.line]


def _unpacked_graph(entries: Any, tensors: set[str]) -> fx.Graph:
    graph = fx.Graph()
    nodes: dict[str, fx.Node] = {}
    for name, what, *rest in entries:
        if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name) or name in nodes:
            raise StateError(f"the stored graph has a node {name!r}; its nodes must have names of their own")
        if what == "output":
            graph.output(unpacked(rest[0], nodes))
        elif what == "placeholder":
            nodes[name] = graph.create_node("placeholder", name, name=name)
        elif what == "get_attr":
            if rest[0] not in tensors:
                raise StateError(f"the stored graph reads the tensor {rest[0]!r}, which it does not list")
            nodes[name] = graph.create_node("get_attr", rest[0], name=name)
        else:
            nodes[name] = _unpacked_call(graph, nodes, name, what, rest)
    graph.lint()
    return graph


def _unpacked_call(
    graph: fx.Graph, nodes: Mapping[str, fx.Node], name: str, what: str, rest: list[Any]
) -> fx.Node:
    given, named, module, line = rest
    if not all(isinstance(key, str) and key.isidentifier() for key in named):
        raise StateError(f"the stored graph has a node {name!r} with an argument that has no name")
    kwargs = {key: unpacked(value, nodes) for key, value in named.items()}
    args = tuple(unpacked(given, nodes))
    node = graph.create_node("call_function", target_of(what), args, kwargs, name)
    node.meta[PLACE] = Place(str(module), what.rpartition(".")[0], str(line))
    return node
