"""What a recorded forward pass tells a pruner: inputs, activations past a ReLU, scales, who reads what."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from functools import cached_property
from typing import Any

import numpy as np
from attrs import define, frozen

from ..errors import NeedsData
from ..protocols import Loss, OpenModel, Stream, Traced
from .engine import Structure, analyse
from .following import Flow, Output
from .labels import FROZEN, Axis
from .program import Op
from .windows import Windows, generator, rows

MODE = "eval"
PIECE = 1 << 22
"""How many numbers of unfolded inputs are handed out at a time, or one example's."""


@frozen(eq=False)
class Reader:
    """One operation that sums over a layer's channels."""

    name: str
    """The weight it multiplies by."""
    op: Op
    value: int
    """What it reads."""
    axis: int
    """The axis of that which it sums over."""
    inputs: np.ndarray
    """``(channel, width)``: the coordinates of that axis which leave with each channel, filled up with -1."""


@define(eq=False, slots=False)
class Reading:
    """Answers a view's questions about some layers from one recorded forward pass."""

    opened: OpenModel
    traced: Traced
    names: Sequence[str]
    loss: Loss | None = None
    given: Structure | None = None

    @cached_property
    def _flow(self) -> Flow:
        return Flow(self.traced.programs[MODE])

    @cached_property
    def _structure(self) -> Structure:
        programs = {MODE: self.traced.programs[MODE]}
        return analyse(programs, weights={}) if self.given is None else self.given

    def inputs(self, data: Iterable[Any]) -> Stream:
        """Yield ``(layer, x)`` piece by piece; see `pruners.View.inputs`."""
        wanted = {f"{name} {n}": (name, *m) for name in self.names for n, m in enumerate(self._met(name))}
        values = {key: value for key, (_, _, value, _) in wanted.items()}
        with closing(self.traced.values(values, data, self.loss)) as stream:
            for key, array in stream:
                name, op, _, axis = wanted[key]
                for piece in self._unfolded(
                    op, self.opened.layers[name].shape, self.opened.host(array), axis
                ):
                    yield name, piece

    def activated(self, data: Iterable[Any]) -> Stream:
        """Yield ``(layer, a)`` batch by batch; see `pruners.View.activated`."""
        wanted: dict[str, tuple[str, Output]] = {}
        for name in self.names:
            for number, output in enumerate(self._outputs(name)):
                wanted[f"{name} {number}"] = name, self._flow.activated(output)
        values = {key: output.value for key, (_, output) in wanted.items()}
        ops: Any = self.opened.view([]).ops
        with closing(self.traced.values(values, data, self.loss)) as stream:
            for key, array in stream:
                layer, output = wanted[key]
                yield layer, _channels_first(ops, array, output.axis)

    def scales(self) -> dict[str, Any]:
        """Return ``{layer: (channel,)}`` of the layers that a batch norm with a scale directly reads."""
        found = {}
        for name in self.names:
            scales = {self._flow.scale(output) for output in self._flow.outputs(name, self._channels(name))}
            scale = scales.pop() if len(scales) == 1 else None
            layer = None if scale is None else self.opened.layers.get(scale)
            if scale is not None and layer is not None and layer.shape == (self._channels(name),):
                found[name] = self.opened.native(scale, np.array(self.opened.read(scale)))
        return found

    def reads(self, layer: str) -> dict[str, tuple[np.ndarray, list[np.ndarray]]]:
        """Return ``{reader: (weight, positions)}``; see `pruners.View.reads`."""
        found = {}
        for reader in self._readers(layer):
            weight = self.opened.read(reader.name)
            groups = int(reader.op.options.get("groups", 1))
            found[reader.name] = (
                weight,
                [_positions(weight.shape, groups, coordinates).ravel() for coordinates in reader.inputs],
            )
        return found

    def consumers(self, layer: str, data: Iterable[Any], locations: int = 10, seed: int = 0) -> Stream:
        """Yield ``(reader, weight, patches)`` batch by batch; see `pruners.View.consumers`."""
        readers = {f"{number}": reader for number, reader in enumerate(self._readers(layer))}
        if not readers:
            return
        weights = {key: self._seen_weight(reader) for key, reader in readers.items()}
        random = {key: generator(seed, layer, key, reader.name) for key, reader in readers.items()}
        values = {key: reader.value for key, reader in readers.items()}
        with closing(self.traced.values(values, data, self.loss)) as stream:
            for key, array in stream:
                x = self.opened.host(array)
                patches = self._seen(readers[key], x, locations, random[key])
                yield readers[key].name, weights[key], patches

    def _met(self, name: str) -> list[tuple[Op, int, int]]:
        """Return each operation that multiplies by a weight, what it reads and the axis it sums over."""
        shape, found = self.opened.layers[name].shape, []
        for op, index in self._flow.products(name):
            if op.kind == "conv":
                found.append((op, op.inputs[0], 1))
            elif len(op.inputs) == 2 and len(shape) == 2:
                operands, result = op.options["spec"].split("->")
                own, other = operands.split(",")[index], operands.split(",")[1 - index]
                summed = [letter for letter in other if letter in own and letter not in result]
                if len(summed) == 1 and len(own) == 2:
                    found.append((op, op.inputs[1 - index], other.index(summed[0])))
        if not found:
            raise NeedsData(f"no convolution or matrix product with {name!r} was met; leave it out")
        return found

    def _unfolded(self, op: Op, shape: tuple[int, ...], x: np.ndarray, axis: int) -> Iterator[np.ndarray]:
        """Yield ``(sample, group, in, *kernel)``, a few examples at a time."""
        if op.kind == "conv":
            windows, shapes = Windows.of(shape[2:], op.options), self._flow.program.shapes
            into, out = (shapes[value][2:] for value in (op.inputs[0], op.outputs[0]))
            seen = windows.unfold(x, [n - m for n, m in zip(out, windows.sizes(into), strict=True)])
        else:
            seen = np.atleast_2d(np.moveaxis(x, axis, -1))
        examples = max(1, PIECE // max(1, seen[:1].size))
        for start in range(0, len(seen), examples):
            piece = seen[start : start + examples]
            samples = math.prod(piece.shape[: piece.ndim - len(shape[1:])])
            piece = piece.astype(np.float64 if piece.dtype == np.float64 else np.float32, copy=False)
            yield piece.reshape(samples, int(op.options.get("groups", 1)), *shape[1:])

    def _channels(self, name: str) -> int:
        shape = self.opened.layers[name].shape
        return shape[0] if shape else 0

    def _outputs(self, name: str) -> list[Output]:
        found = self._flow.outputs(name, self._channels(name))
        if not found:
            raise NeedsData(
                f"no convolution or matrix product with {name!r} was met whose output has its "
                f"{self._channels(name)} channels; leave it out"
            )
        return found

    def _readers(self, layer: str) -> list[Reader]:
        """Return who sums over a layer's channels, in the order of execution."""
        channels = np.full(self._channels(layer), FROZEN)
        for output in self._flow.outputs(layer, len(channels)):
            roots = self._structure.labels(MODE, output.value)[output.axis]
            if roots is not None:
                channels = roots
        found = []
        for op in self._flow.program.ops:
            met = self._summed(op)
            if met is None or met[0] == layer:
                continue
            name, value, axis = met
            inputs = match(channels, self._structure.labels(MODE, value)[axis])
            if inputs is not None:
                found.append(Reader(name, op, value, axis, inputs))
        return found

    def _summed(self, op: Op) -> tuple[str, int, int] | None:
        """Return the weight of an operation, what it reads and the axis it sums over, if it is a layer's."""
        if op.kind == "conv":
            if self._passes_on(op):
                return None
            name, value, axis = self._flow.parameter(op.inputs[1]), op.inputs[0], 1
        elif op.kind == "contract" and len(op.inputs) == 2:
            weights = [index for index in (0, 1) if self._flow.parameter(op.inputs[index])]
            operands, result = op.options["spec"].split("->")
            left, right = operands.split(",")
            summed = [letter for letter in left if letter in right and letter not in result]
            if len(weights) != 1 or len(summed) != 1:
                return None
            index = 1 - weights[0]
            name, value = self._flow.parameter(op.inputs[weights[0]]), op.inputs[index]
            axis = (left, right)[index].index(summed[0])
        else:
            return None
        known = name is not None and name in self.opened.layers and self.opened.layers[name].default
        return (name, value, axis) if known and name is not None else None

    def _passes_on(self, op: Op) -> bool:
        """Return whether the outputs of each group leave with its inputs: then their readers are asked."""
        groups = int(op.options["groups"])
        shapes = self._flow.program.shapes
        if groups == 1:
            return False
        if groups == shapes[op.inputs[0]][1] == shapes[op.outputs[0]][1]:
            return True
        into, out = (self._structure.labels(MODE, value)[1] for value in (op.inputs[0], op.outputs[0]))
        if into is None or out is None:
            return False
        return np.array_equal(into[:: len(into) // groups], out[:: len(out) // groups])

    def _seen_weight(self, reader: Reader) -> np.ndarray:
        """Return ``(out, channel, position)``: what each output multiplies each channel's coordinates by."""
        weight = self.opened.read(reader.name)
        flat = weight.reshape(-1).astype(np.float64 if weight.dtype == np.float64 else np.float32)
        groups = int(reader.op.options.get("groups", 1))
        channels, width = reader.inputs.shape
        out, kernel = weight.shape[0], int(np.prod(weight.shape[2:], dtype=int))
        seen = np.zeros((out, channels, width, kernel), flat.dtype)
        for channel, index in np.argwhere(reader.inputs >= 0):
            coordinates = reader.inputs[channel, index : index + 1]
            places = _positions(weight.shape, groups, coordinates)
            outputs = _outputs_of(weight.shape, groups, int(coordinates[0]))
            seen[outputs, channel, index] = flat[places].reshape(-1, kernel)
        return seen.reshape(out, channels, width * kernel)

    def _seen(self, reader: Reader, x: np.ndarray, locations: int, random: np.random.Generator) -> np.ndarray:
        """Return ``(sample, channel, position)``: what the reader's windows see of each channel."""
        there = reader.inputs >= 0
        coordinates = np.where(there, reader.inputs, 0).ravel()
        if reader.op.kind == "conv":
            kernel = self.opened.layers[reader.name].shape[2:]
            seen = Windows.of(kernel, reader.op.options).see(x, coordinates, locations, random)
        else:
            seen = rows(x, reader.axis, coordinates, locations, random)
        if seen.dtype not in (np.float32, np.float64):
            seen = seen.astype(np.float32)
        seen = np.where(there.reshape(1, -1, 1), seen, np.zeros((), seen.dtype))
        return seen.reshape(len(seen), len(there), -1)


def match(channels: np.ndarray, axis: Axis) -> np.ndarray | None:
    """
    Return ``(channel, width)``: the coordinates of an axis that leave with each channel, by equal roots.

    Filled up with -1; None where there are none at all. Several channels of one root share its
    coordinates in order.
    """
    if axis is None:
        return None
    found: list[np.ndarray] = [np.empty(0, int)] * len(channels)
    for root in np.intersect1d(channels, axis):
        if root != FROZEN:
            owners = np.flatnonzero(channels == root)
            shares = np.array_split(np.flatnonzero(axis == root), len(owners))
            for owner, share in zip(owners, shares, strict=True):
                found[owner] = share
    width = max(map(len, found), default=0)
    if not width:
        return None
    table = np.full((len(channels), width), -1)
    for row, share in zip(table, found, strict=True):
        row[: len(share)] = share
    return table


def _outputs_of(shape: tuple[int, ...], groups: int, coordinate: int) -> np.ndarray:
    """Return the output channels that read one input coordinate of a weight ``(out, in, *kernel)``."""
    per_group = shape[0] // groups
    return coordinate // shape[1] * per_group + np.arange(per_group)


def _positions(shape: tuple[int, ...], groups: int, coordinates: np.ndarray) -> np.ndarray:
    """Return ``(coordinate, ...)`` flat positions in a weight that multiply input coordinates."""
    kernel = int(np.prod(shape[2:], dtype=int))
    found = []
    for coordinate in coordinates:
        if coordinate >= 0:
            rows_ = _outputs_of(shape, groups, coordinate)
            place = (rows_[:, None] * shape[1] + coordinate % shape[1]) * kernel + np.arange(kernel)
            found.append(place.ravel())
    return np.array(found, int).reshape(len(found), -1)


def _channels_first(ops: Any, array: Any, axis: int) -> Any:
    """Return an array as ``(batch, channel, ...)``."""
    if axis == 0:
        return ops.expand_dims(array, axis=0)
    if axis == 1:
        return array
    others = [each for each in range(array.ndim) if each not in (0, axis)]
    return ops.permute_dims(array, (0, axis, *others))
