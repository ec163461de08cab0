"""Models, numbers and pruners with which backends are tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from attrs import frozen

import pruners
from pruners.scoring import NamedPruner, Scorer

from . import drawing, frameworks
from .outcome import NotApplicable
from .subject import BackendCase

SHAPES = {"a.weight": (4, 6), "b.weight": (3, 4, 3), "c.weight": (2, 3, 3, 3)}
BITS = {2: np.uint16, 4: np.uint32, 8: np.uint64}
ODD_BITS = (0x7FC12345, 0xFFC0ABCD, 0x7F800000, 0xFF800000, 0x80000000, 0x00000001, 0x80000001, 0xBF800000)
"""Float32 bits: NaNs with payloads, both infinities, -0.0, subnormals, -1."""


def assign(array: Any) -> None:
    """Assign to every element."""
    array[...] = 0


def multiply(array: Any) -> None:
    """Multiply in place."""
    array *= 0


def add(array: Any) -> None:
    """Add in place."""
    array += 1


WRITES: tuple[Callable[[Any], None], ...] = (assign, multiply, add)


@frozen
class Vandal:
    """A pruner that writes to what it was given to read."""

    write: Callable[[Any], None]
    unit: str = "weight"

    def scores(self, view: Any) -> Mapping[str, Any]:
        """Write, and score what is there then."""
        for weight in view.weights.values():
            self.write(weight)
        return dict(view.weights)


@frozen
class Absolute:
    """The smallest pruner that calls a function of the framework."""

    unit: str = "weight"

    def scores(self, view: Any) -> Mapping[str, Any]:
        """Score each weight by its absolute value."""
        return {name: view.ops.abs(weight) for name, weight in view.weights.items()}


USES: dict[str, Callable[[Any, Any], Any]] = {
    "abs": lambda ops, w: ops.abs(w),
    "sign": lambda ops, w: ops.sign(w),
    "sqrt": lambda ops, w: ops.sqrt(ops.abs(w)),
    "square": lambda ops, w: ops.square(w),
    "exp": lambda ops, w: ops.exp(w),
    "log": lambda ops, w: ops.log(ops.abs(w)),
    "where": lambda ops, w: ops.where(w > 0, w, ops.zeros_like(w)),
    "maximum": lambda ops, w: ops.maximum(w, -w),
    "minimum": lambda ops, w: ops.minimum(w, -w),
    "clip": lambda ops, w: ops.clip(w, -1.0, 1.0),
    "sum": lambda ops, w: ops.sum(w, axis=1, keepdims=True),
    "prod": lambda ops, w: ops.prod(w, axis=1),
    "mean": lambda ops, w: ops.mean(w, axis=0),
    "std": lambda ops, w: ops.std(w, correction=1.0),
    "min": lambda ops, w: ops.min(w, axis=1),
    "max": lambda ops, w: ops.max(w),
    "argsort": lambda ops, w: ops.argsort(ops.reshape(w, (-1,))),
    "sort": lambda ops, w: ops.sort(w, axis=-1),
    "take": lambda ops, w: ops.take(w, ops.argsort(ops.reshape(w, (-1,)))[:1] * 0, axis=0),
    "reshape": lambda ops, w: ops.reshape(w, (w.shape[0], -1)),
    "permute_dims": lambda ops, w: ops.permute_dims(w, (1, 0, *range(2, w.ndim))),
    "expand_dims": lambda ops, w: ops.expand_dims(w, axis=0),
    "matmul": lambda ops, w: ops.matmul(
        ops.reshape(w, (w.shape[0], -1)), ops.permute_dims(ops.reshape(w, (w.shape[0], -1)), (1, 0))
    ),
    "zeros_like": lambda ops, w: ops.zeros_like(w),
    "ones_like": lambda ops, w: ops.ones_like(w),
    "asarray": lambda ops, w: ops.asarray([1.0, 2.0], dtype=ops.float32),
    "astype": lambda ops, w: ops.astype(w, ops.float64),
    "concat": lambda ops, w: ops.concat([w, -w], axis=0),
    "isfinite": lambda ops, w: ops.isfinite(w),
}


def maker(case: BackendCase) -> frameworks.Build:
    """Return how models of this framework are made from arrays; without that, no check applies."""
    make = case.make_model or _of_the_package(case)
    if make is None:
        raise NotApplicable("there is no model to try it on: see check_models_can_be_made")
    return make


def can_make(case: BackendCase) -> bool:
    """Return whether models of this framework can be made from arrays."""
    return case.make_model is not None or _of_the_package(case) is not None


def _of_the_package(case: BackendCase) -> frameworks.Build | None:
    spec = case.subject.spec()
    return frameworks.builder(spec) if isinstance(spec, pruners.BackendSpec) else None


def parameters_of(case: BackendCase, model: Any) -> Mapping[str, Any]:
    """Return the framework's own parameters of a model by name."""
    spec = case.subject.spec()
    if case.parameters is None and isinstance(spec, pruners.BackendSpec):
        return frameworks.lister(spec)(model)
    return (case.parameters or dict)(model)


def models_of(case: BackendCase) -> Iterator[tuple[str, Any]]:
    """Yield every model to look at, and how messages call it."""
    yield "model of arrays", maker(case)(plain_arrays())
    for number, make in enumerate(case.models):
        yield f"models[{number}]", make()


def plain_arrays() -> dict[str, np.ndarray]:
    """Return ordinary weights: distinct, none of them zero."""
    return {name: drawing.grid(shape) for name, shape in SHAPES.items()}


def odd_arrays() -> dict[str, np.ndarray]:
    """Return weights full of numbers that arithmetic does not leave as they are."""
    return {name: odd(shape) for name, shape in SHAPES.items()}


def odd(shape: tuple[int, ...]) -> np.ndarray:
    """Return float32 numbers that arithmetic does not leave as they are."""
    return np.resize(np.array(ODD_BITS, np.uint32), shape).view(np.float32)


def as_bits(array: np.ndarray) -> np.ndarray:
    """Return an array as integers of the same width."""
    return np.ascontiguousarray(array).view(BITS[array.dtype.itemsize])


def bits_of(opened: pruners.OpenModel) -> dict[str, bytes]:
    """Return every weight as bytes."""
    return {name: opened.read(name).tobytes() for name in opened.layers}


def changed_names(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> set[str]:
    """Return the names whose bytes differ."""
    return {name for name in after if before[name] != after[name]}


def reached(opened: pruners.OpenModel) -> list[str]:
    """Return the names that wildcards reach."""
    return [name for name, layer in opened.layers.items() if layer.default]


def scorer(opened: pruners.OpenModel, pruner: Any) -> Scorer:
    """Return a pruner at work on every layer that wildcards reach."""
    return Scorer(opened, NamedPruner(type(pruner).__name__, pruner), reached(opened))


def half_masks(opened: pruners.OpenModel) -> dict[str, np.ndarray]:
    """Return a mask for every layer that wildcards reach, about half of it kept."""
    draw = np.random.default_rng(7)
    return {name: draw.random(opened.layers[name].shape) < 0.5 for name in reached(opened)}


def masked(case: BackendCase) -> Iterator[tuple[pruners.OpenModel, dict[str, np.ndarray]]]:
    """Yield models full of odd numbers after `apply`: on every layer, then on one alone."""
    for some in (slice(None), slice(1)):
        opened = case.subject.make().open(maker(case)(odd_arrays()))
        masks = half_masks(opened)
        masks = {name: masks[name] for name in list(masks)[some]}
        opened.keeper(masks).apply()
        yield opened, masks


def traits_of(parameter: Any) -> dict[str, str]:
    """Return what must stay the same about a parameter, in words."""
    names = ("dtype", "shape", "device", "requires_grad")
    return {name: str(getattr(parameter, name, None)) for name in names}
