"""Plugins that keep every promise; the bad ones each change one thing about these."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from attrs import evolve, field, frozen, validators
from pruners_conformance import Example

import pruners

PRUNER = [Example({"w": [[3.0, -1.0], [0.5, -2.0]]}, 0.5, {"w": [[1, 0], [0, 1]]})]
SCHEDULE = {0: 0.0, 5: 0.4, 10: 0.8}
SALIENCY = [
    # |w g| is 0.2, 0.1, 0.5; floor(0.4 * 3) = 1 goes
    Example({"w": [[1.0, -2.0, 0.5]]}, 0.4, {"w": [[1, 0, 1]]}, gradients={"w": [[0.2, 0.05, -1.0]]})
]
ACTIVITY = [
    # the rows are 1 and 3 active on average: 4, 2 beside 3, 3
    Example(
        {"w": [[4.0, 2.0], [1.0, -1.0]]},
        0.25,
        {"w": [[1, 0], [1, 1]]},
        activations={"w": ([[1.0, 2.0], [-1.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]])},
    )
]
CHANNEL = [Example({"w": [[3.0, -1.0], [0.5, -2.0]]}, 0.5, {"w": [1, 0]})]
USED = [
    # channel 0 is positive twice, channel 1 three times
    Example(
        {"w": [[1.0], [1.0]]},
        0.5,
        {"w": [0, 1]},
        activated={"w": [[[1.0, -1.0], [2.0, 1.0]], [[3.0, 0.0], [0.0, 4.0]]]},
    )
]
READ = [
    # what the reader gets: 2 * (1 + 3) of channel 0, 1 * (2 + 4) of channel 1
    Example(
        {"w": [[1.0], [1.0]]},
        0.5,
        {"w": [1, 0]},
        consumers={"w": ([[[2.0], [1.0]]], [[[1.0], [2.0]], [[3.0], [4.0]]])},
    )
]
SCALED = [Example({"w": [[1.0], [1.0]]}, 0.5, {"w": [1, 0]}, scales={"w": [-2.0, 1.0]})]
PATTERN = [
    Example({"w": [[1.0, -3.0, 2.0, 0.5, 4.0, 5.0, 6.0, 7.0]]}, 0.5, {"w": [[0, 1, 1, 0, 0, 0, 1, 1]]})
]


@frozen
class Smallest:
    """
    Score every weight by its absolute value.

    Notes
    -----
    Needs no data; ties fall to the lower index.

    References
    ----------
    .. [1] S. Han et al., "Learning both Weights and Connections", NeurIPS 2015.

    Examples
    --------
    >>> Smallest().unit
    'weight'
    """

    unit: Literal["weight"] = field(default="weight", init=False)

    def scores(self, view: Any) -> Mapping[str, Any]:
        """Return the absolute values."""
        return {name: view.ops.abs(weight) for name, weight in view.weights.items()}


@frozen
class Reaching(Smallest):
    __doc__ = Smallest.__doc__
    reach: Literal["weight"] = field(default="weight", init=False)


@frozen
class Allocating(Smallest):
    """
    Prune layers with even and odd rows at different rates.

    Notes
    -----
    Needs no data.

    References
    ----------
    .. [1] None; this one is for tests.

    Examples
    --------
    >>> Allocating().unit
    'weight'
    """

    def allocate(self, view: Any, sparsity: float) -> Mapping[str, float]:
        """Return the asked sparsity, or half of it where rows are odd."""
        return {name: sparsity / (1 + w.shape[0] % 2) for name, w in view.weights.items()}


@frozen
class Channels(Smallest):
    """
    Score every output channel by the sum of its absolute weights.

    Notes
    -----
    Needs no data.

    References
    ----------
    .. [1] H. Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017.

    Examples
    --------
    >>> Channels().unit
    'channel'
    """

    unit: Literal["channel"] = field(default="channel", init=False)  # type: ignore[assignment]

    def scores(self, view: Any) -> Mapping[str, Any]:
        """Return one sum per channel."""
        return {
            name: view.ops.sum(
                view.ops.abs(view.ops.astype(w, view.ops.float32)), axis=tuple(range(1, w.ndim))
            )
            for name, w in view.weights.items()
        }


@frozen
class ReachingChannels(Channels):
    __doc__ = Channels.__doc__
    reach: Literal["channel"] = field(default="channel", init=False)


@frozen
class Used(Channels):
    """
    Score every output channel by how often its activation is above 0.

    Notes
    -----
    Needs data.

    References
    ----------
    .. [1] H. Hu et al., "Network Trimming", 2016.

    Examples
    --------
    >>> Used().unit
    'channel'
    """

    def scores(self, view: Any) -> Mapping[str, Any]:
        """Return the counts."""
        counts: dict[str, Any] = {}
        for name, a in view.activated():
            above = view.ops.astype(a > 0, view.ops.float64)
            counts[name] = counts.get(name, 0) + view.ops.sum(above, axis=(0, *range(2, a.ndim)))
        return counts


@frozen
class Read(Channels):
    """
    Score every output channel by what its readers make of it, summed.

    Notes
    -----
    Needs data.

    References
    ----------
    .. [1] None; this one is for tests.

    Examples
    --------
    >>> Read().unit
    'channel'
    """

    def scores(self, view: Any) -> Mapping[str, Any]:
        """Return the sums."""
        found = {}
        for name, own in view.weights.items():
            found[name] = np.zeros(own.shape[0])
            for _, weight, patches in view.consumers(name):
                found[name] += np.einsum("fcp,icp->c", weight, patches)
        return found


@frozen
class Scaled(Channels):
    """
    Score every output channel by its batch norm's scale.

    Notes
    -----
    Needs no data.

    References
    ----------
    .. [1] Z. Liu et al., "Learning Efficient Convolutional Networks through Network Slimming", ICCV 2017.

    Examples
    --------
    >>> Scaled().unit
    'channel'
    """

    def scores(self, view: Any) -> Mapping[str, Any]:
        """Return the absolute scales."""
        return {name: view.ops.abs(scale) for name, scale in view.scales().items()}


@frozen
class Saliency(Smallest):
    """
    Score every weight by what the loss loses with it, to first order.

    Notes
    -----
    Needs gradients.

    References
    ----------
    .. [1] N. Lee et al., "SNIP", ICLR 2019.

    Examples
    --------
    >>> Saliency().unit
    'weight'
    """

    def scores(self, view: Any) -> Mapping[str, Any]:
        """Return the absolute products of weight and gradient."""
        slopes = view.gradients()
        return {
            name: view.ops.abs(view.ops.astype(weight, view.ops.float32) * slopes[name])
            for name, weight in view.weights.items()
        }


@frozen
class Activity(Smallest):
    """
    Score every weight by its absolute value times the mean activation of its output.

    Notes
    -----
    Needs activations.

    References
    ----------
    .. [1] None; this one is for tests.

    Examples
    --------
    >>> Activity().unit
    'weight'
    """

    def scores(self, view: Any) -> Mapping[str, Any]:
        """Return the products, activations summed over every batch."""
        ops = view.ops
        found = {name: ops.astype(ops.abs(weight), ops.float32) for name, weight in view.weights.items()}
        total = dict.fromkeys(found, 0.0)
        for name, z in view.activations():
            total[name] = total[name] + ops.mean(ops.abs(z), axis=(0, *range(2, z.ndim)))
        return {
            name: each * ops.reshape(total[name], (-1, *[1] * (each.ndim - 1)))
            for name, each in found.items()
        }


@frozen(kw_only=True)
class Ramp:
    """
    Rise in a straight line.

    Parameters
    ----------
    stop, every, initial_sparsity, final_sparsity
        As their names say.

    Notes
    -----
    Reaches the end at `stop`, which is due.

    References
    ----------
    .. [1] None; this one is for tests.

    Examples
    --------
    >>> Ramp().sparsity(5)
    0.4
    """

    stop: int = field(default=10, validator=validators.gt(0))
    every: int = 1
    initial_sparsity: float = 0.0
    final_sparsity: float = 0.8

    def sparsity(self, step: int) -> float:
        """Return the fraction of weights that are zero after `step`."""
        done = min(step / self.stop, 1.0)
        if done == 1.0:
            return self.final_sparsity
        return self.initial_sparsity + (self.final_sparsity - self.initial_sparsity) * done

    def due(self, step: int) -> bool:
        """Return whether masks are recomputed at `step`."""
        return step <= self.stop and (step % self.every == 0 or step == self.stop)

    def between(self, initial: float | None, final: float | None) -> Ramp:
        """Return this ramp between other ends."""
        return evolve(
            self,
            initial_sparsity=self.initial_sparsity if initial is None else initial,
            final_sparsity=self.final_sparsity if final is None else final,
        )


@frozen
class Fours:
    """
    Prune the same number of every four consecutive inputs.

    Notes
    -----
    Needs no data; at most half of each four is pruned.

    References
    ----------
    .. [1] None; this one is for tests.

    Examples
    --------
    >>> Fours().count(0.5)
    2
    """

    def count(self, sparsity: float) -> int:
        """Return how many of four are pruned."""
        return min(2, math.floor(4 * sparsity + 1e-9))

    def fours(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape as groups of four, or skip."""
        if len(shape) < 2 or shape[1] % 4 or not math.prod(shape):
            raise pruners.SkipLayer(f"inputs of shape {shape} do not come in fours")
        return (shape[0], shape[1] // 4, 4, *shape[2:])

    def mask(self, ranking: Any, sparsity: float) -> np.ndarray:
        """Prune the lowest of each four."""
        grouped = ranking.values().reshape(self.fours(ranking.shape))
        order = np.argsort(np.argsort(grouped, axis=2, kind="stable"), axis=2, kind="stable")
        return (order >= self.count(sparsity)).reshape(ranking.shape)

    def check(self, mask: np.ndarray) -> None:
        """Raise unless every four has the same number of zeros, at most two."""
        zeros = (~mask).reshape(self.fours(mask.shape)).sum(axis=2)
        if zeros.max() > 2 or zeros.min() != zeros.max():
            raise pruners.PatternError(f"fours have {zeros.min()} to {zeros.max()} zeros")


@frozen
class Cuttable(Fours):
    __doc__ = Fours.__doc__

    def fours(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape as groups of four, or skip; a piece without rows is laid like any other."""
        if len(shape) < 2 or shape[1] % 4 or not math.prod(shape[1:]):
            raise pruners.SkipLayer(f"inputs of shape {shape} do not come in fours")
        return (shape[0], shape[1] // 4, 4, *shape[2:])

    def check(self, mask: np.ndarray) -> None:
        """Raise unless every four has the same number of zeros, at most two."""
        if mask.size:
            super().check(mask)

    def rows(self, shape: tuple[int, ...]) -> int:
        """Return that a layer may be cut between any rows."""
        return 1
