"""Normalisation over the kept features only, in the masked reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from attrs import frozen

from pruners import ProofError
from pruners.structure.plan import Coordinates

from ..tracing.graph import Graph, Instead, Node, Recording, invoke
from .values import host, like, select

_BATCH_NORMS = ("BatchNorm", "_contrib_SyncBatchNorm", "_contrib_BatchNormWithReLU")
Kept = Mapping[int, np.ndarray]


@frozen(eq=False)
class Norm:
    """One recorded normalisation, and what is kept of the axes that it normalises over."""

    node: int
    module: str
    instead: Instead


def norms(graph: Graph, mode: str, coordinates: Coordinates) -> list[Norm]:
    """Return the normalisations that run over features some of which leave."""
    found = []
    for index, node in enumerate(graph.nodes):
        axes = _axes(node, mode)
        value = graph.values.get(node.inputs[0]) if axes is not None else None
        if axes is None or value is None:
            continue
        stays = coordinates(mode, value)
        over = axes(len(stays))
        kept = {axis: indices for axis in over if (indices := stays[axis]) is not None}
        if kept:
            found.append(Norm(index, node.module, _instead(node, kept, graph.numpy)))
    return found


def _axes(node: Node, mode: str) -> Callable[[int], Sequence[int]] | None:
    """Return what tells, from the number of axes, those that a node normalises over."""
    if node.op == "GroupNorm":
        return lambda count: range(1, count)
    if node.op == "InstanceNorm":
        return lambda count: range(2, count)
    if node.op == "LayerNorm":
        return lambda count: [int(node.attrs.get("axis", -1)) % count]
    statistics = mode == "train" and node.attrs.get("use_global_stats", "False") not in ("True", "1")
    if node.op in _BATCH_NORMS and statistics:
        own = int(node.attrs.get("axis", 1))
        return lambda count: [axis for axis in range(count) if axis != own % count]
    return None


def check(recording: Recording, coordinates: Coordinates, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise where a norm's parameters do not fit its input: of longer ones MXNet reads what it needs."""
    for mode, graph in recording.graphs.items():
        for node in graph.nodes:
            own = _own(node)
            value = graph.values.get(node.inputs[0]) if own is not None else None
            if own is None or value is None:
                continue
            stays, full = coordinates(mode, value)[own], recording.programs[mode].shapes[value][own]
            length = full if stays is None else len(stays)
            for name in _parameters(graph, node):
                if shapes[name] != (length,):
                    raise ProofError(
                        f"the smaller model has {name!r} of shape {shapes[name]}, where what it normalises "
                        f"has {length} features; everything was put back"
                    )


def _own(node: Node) -> int | None:
    """Return the axis that a norm has a parameter's coordinate for."""
    if node.op == "InstanceNorm":
        return 1
    if node.op in _BATCH_NORMS:
        return int(node.attrs.get("axis", 1))
    return int(node.attrs.get("axis", -1)) if node.op == "LayerNorm" else None


def _parameters(graph: Graph, node: Node) -> list[str]:
    found = [graph.variables[maker] for maker, _ in node.inputs[1:] if maker in graph.variables]
    return [variable.name for variable in found if variable.kind == "parameter"]


def _instead(node: Node, kept: Kept, numpy: bool) -> Instead:
    if node.op == "GroupNorm":
        return lambda inputs, node: _group_norm(inputs, node, kept)
    return lambda inputs, node: _on_part(inputs, node, kept, numpy)


def _on_part(inputs: list[Any], node: Node, kept: Kept, numpy: bool) -> list[Any]:
    """Run the operator on what is kept, with its own parameters' kept part; elsewhere are zeros."""
    x = inputs[0]
    part = like(select(host(x), kept), x)
    own = kept.get(int(node.attrs.get("axis", -1)) % x.ndim) if node.op == "LayerNorm" else None
    more = [each.copy() if own is None else like(select(host(each), {0: own}), each) for each in inputs[1:]]
    outputs = invoke(node.op, [part, *more], node.attrs, numpy=numpy)
    return [like(_spread(host(outputs[0]), x.shape, kept), x), *outputs[1:]]


def _spread(values: np.ndarray, shape: tuple[int, ...], kept: Kept) -> np.ndarray:
    """Return values with kept coordinates at their own places again, zeros elsewhere."""
    spread = np.zeros(shape, values.dtype)
    spread[np.ix_(*(kept.get(axis, np.arange(length)) for axis, length in enumerate(shape)))] = values
    return spread


def _group_norm(inputs: list[Any], node: Node, kept: Kept) -> list[Any]:
    """Normalise each group over what is kept of it, by the formula."""
    x, gamma, beta = (host(each).astype(np.float64) for each in inputs)
    groups = int(node.attrs.get("num_groups", 1))
    width = x.shape[1] // groups
    stays = kept.get(1, np.arange(x.shape[1]))
    rest = {axis: indices for axis, indices in kept.items() if axis != 1}
    result, means, scales = np.zeros_like(x), *(np.zeros((x.shape[0], groups)) for _ in range(2))
    for group in range(groups):
        channels = stays[stays // width == group]
        if not len(channels):
            continue
        part = select(x, {**rest, 1: channels})
        over = tuple(range(1, x.ndim))
        mean, variance = part.mean(over, keepdims=True), part.var(over, keepdims=True)
        scale = np.sqrt(variance + float(node.attrs.get("eps", 1e-5)))
        part = (part - mean) / scale * gamma[group] + beta[group]
        result += _spread(part, x.shape, {**rest, 1: channels})
        means[:, group], scales[:, group] = mean.ravel(), scale.ravel()
    return [like(each, inputs[0]) for each in (result, means, scales)]
