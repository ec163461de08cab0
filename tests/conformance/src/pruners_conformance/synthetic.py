"""A view without a model, so that pruners that need data are checked like those that do not."""

from __future__ import annotations

import math
import zlib
from collections.abc import Generator, Mapping
from typing import Any

import array_api_compat.numpy as ops
import numpy as np
from attrs import evolve, field, frozen

import pruners
from pruners.selection import Scope, choose_masks
from pruners.selection.ranking import Ranking

from .drawing import Arrays
from .example import Example
from .subject import PrunerCase


@frozen(eq=False)
class SyntheticView:
    """Weights with invented activations and gradients: the same for the same name and shape."""

    weights: Mapping[str, np.ndarray]
    ops: Any = ops
    prepared: Mapping[str, float] = field(factory=dict)
    flat: bool = False
    """Whether every activation is one, so that equal weights are wholly alike."""
    given: Example | None = None
    batches: int = 2

    def host(self, array: Any) -> np.ndarray:
        """Return the array itself."""
        return np.asarray(array)

    def inputs(self) -> Generator[tuple[Any, ...], None, None]:
        """Yield what each layer's weights are multiplied by, ``(8, group, in, *kernel)``.

        A layer with an even number of outputs reads two groups of inputs.
        """
        if self.given is not None and self.given.inputs:
            for name, x in self.given.inputs.items():
                yield name, np.asarray(x, np.float32)
            return
        for batch in range(self.batches):
            for name, weight in self.weights.items():
                groups = 2 if _channels(weight) and _channels(weight) % 2 == 0 else 1
                yield name, self._drawn(f"{name} x {batch}", (8, groups, *weight.shape[1:]))

    def activations(self, gradients: bool = False) -> Generator[tuple[Any, ...], None, None]:
        """Yield each layer's output ``(batch, channel, 3, 3)``, and its gradient where asked."""
        if self.given is not None and self.given.activations:
            for name, (z, dz) in self.given.activations.items():
                yield (name, np.asarray(z), np.asarray(dz)) if gradients else (name, np.asarray(z))
            return
        for batch in range(self.batches):
            for name, weight in self.weights.items():
                shape = (4, _channels(weight), 3, 3)
                z, dz = (self._drawn(f"{name} {what} {batch}", shape) for what in ("z", "dz"))
                yield (name, np.maximum(z, 0), dz) if gradients else (name, np.maximum(z, 0))

    def activated(self) -> Generator[tuple[Any, ...], None, None]:
        """Yield each layer's output past its nonlinearity, ``(batch, channel, 3, 3)``."""
        if self.given is not None and self.given.activated:
            for name, a in self.given.activated.items():
                yield name, np.asarray(a)
            return
        for name, z in self.activations():
            yield name, z

    def consumers(
        self, layer: str, locations: int = 10, seed: int = 0
    ) -> Generator[tuple[Any, ...], None, None]:
        """Yield one reader, its part of the weight ``(3, channel, 2)`` and patches ``(8, channel, 2)``."""
        if self.given is not None and self.given.consumers:
            weight, patches = self.given.consumers[layer]
            yield "reader", np.asarray(weight, np.float64), np.asarray(patches, np.float64)
            return
        channels = _channels(self.weights[layer])
        for batch in range(self.batches):
            patches = self._drawn(f"{layer} patches {batch} {seed}", (8, channels, 2))
            yield "reader", self._drawn(f"{layer} reader", (3, channels, 2)), patches

    def reads(self, layer: str) -> Mapping[str, tuple[np.ndarray, list[np.ndarray]]]:
        """Return the reader's weight ``(out, channel, position)`` and where each channel is in it."""
        for reader, weight, _ in self.consumers(layer):
            places = np.arange(weight.size).reshape(weight.shape)
            return {reader: (weight, [places[:, channel].ravel() for channel in range(weight.shape[1])])}
        return {}

    def scales(self) -> Mapping[str, np.ndarray]:
        """Return one scale per output channel."""
        if self.given is not None and self.given.scales:
            return {name: np.asarray(each, np.float32) for name, each in self.given.scales.items()}
        return {name: self._drawn(f"{name} scale", (_channels(each),)) for name, each in self.weights.items()}

    def gradients(self) -> Mapping[str, np.ndarray]:
        """Return one gradient per weight."""
        if self.given is not None and self.given.gradients:
            return {name: np.asarray(each, np.float32) for name, each in self.given.gradients.items()}
        return {name: self._drawn(f"{name} gradient", weight.shape) for name, weight in self.weights.items()}

    def _drawn(self, what: str, shape: tuple[int, ...]) -> np.ndarray:
        if self.flat:
            return np.ones(shape, np.float32)
        return np.random.default_rng(zlib.crc32(what.encode())).normal(size=shape).astype(np.float32)


def _channels(weight: np.ndarray) -> int:
    return weight.shape[0] if weight.ndim else 1


def view_of(
    pruner: Any, weights: Arrays, *, flat: bool = False, given: Example | None = None
) -> SyntheticView:
    """Return a view of `weights` as a pruner meets it in a session, after `prepare`."""
    view = SyntheticView(weights, flat=flat, given=given)
    if isinstance(pruner, pruners.Prepares):
        return evolve(view, prepared=dict(pruner.prepare(view)))
    return view


def plain(scores: Any) -> np.ndarray:
    """Return scores as an array, whatever form the pruner gave them in."""
    return np.abs(scores.array) if isinstance(scores, pruners.Magnitude) else np.asarray(scores)


def scores_of(case: PrunerCase, weights: Arrays, *, flat: bool = False) -> dict[str, np.ndarray]:
    """Return a new pruner's scores of `weights`."""
    pruner = case.subject.make()
    return {name: plain(each) for name, each in pruner.scores(view_of(pruner, weights, flat=flat)).items()}


def masks_of(
    case: PrunerCase,
    weights: Arrays,
    sparsity: float,
    *,
    scope: Scope = "layer",
    flat: bool = False,
    given: Example | None = None,
) -> Arrays:
    """Return the masks users get on the NumPy backend; True where kept, in the shape of the weights."""
    pruner = case.subject.make()
    if not case.needs:
        found = pruners.masks(dict(weights), pruner, sparsity=sparsity, scope=scope)
        return {name: np.asarray(found[name]) for name in weights}
    view = view_of(pruner, weights, flat=flat, given=given)
    shares: Any = pruner.allocate(view, sparsity) if isinstance(pruner, pruners.Allocates) else sparsity
    rankings = {name: Ranking(name=name, scores=plain(each)) for name, each in pruner.scores(view).items()}
    kept = choose_masks(rankings, shares, scope=scope).masks
    return {name: np.broadcast_to(spread(kept[name], each), each.shape) for name, each in weights.items()}


def spread(mask: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return a mask over channels or weights with as many axes as the weight."""
    return mask.reshape(mask.shape + (1,) * (weight.ndim - mask.ndim))


def shares_of(case: PrunerCase, weights: Arrays, sparsity: float) -> dict[str, float]:
    """Return how much of each layer is to go."""
    pruner = case.subject.make()
    if not isinstance(pruner, pruners.Allocates):
        return dict.fromkeys(weights, sparsity)
    return dict(pruner.allocate(view_of(pruner, weights), sparsity))


def assert_reached(case: PrunerCase, masks: Arrays, shares: dict[str, float]) -> None:
    """Assert that each mask has exactly the zeros its share stands for."""
    channels = case.subject.make().unit == "channel"
    for name, mask in masks.items():
        assert mask.dtype == bool, f"the mask of {name!r} is {mask.dtype}"
        units = mask.shape[0] if channels else mask.size
        each = mask.size // units if units else 0
        asked = math.floor(shares[name] * units + 1e-9) * each
        zeros = int((~mask).sum())
        assert zeros == asked, f"{name!r} has {zeros} zeros of {mask.size}, {shares[name]} asks for {asked}"
