"""For each promise of a pruner, one that breaks it and no other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from attrs import field, frozen

from .good import Allocating, Channels, Smallest

_calls = itertools.count()


class Undocumented(Smallest):
    """Score every weight by its absolute value."""


class Largest(Smallest):
    __doc__ = Smallest.__doc__

    def scores(self, view: Any) -> Mapping[str, Any]:
        return {name: -view.ops.abs(weight) for name, weight in view.weights.items()}


class FlattensVolumes(Smallest):
    __doc__ = Smallest.__doc__

    def scores(self, view: Any) -> Mapping[str, Any]:
        found = super().scores(view)
        return {
            name: each if each.ndim < 5 else each.reshape(*each.shape[:2], -1) for name, each in found.items()
        }


class Logarithm(Smallest):
    __doc__ = Smallest.__doc__

    def scores(self, view: Any) -> Mapping[str, Any]:
        found = super().scores(view)
        return {
            name: view.ops.where(each == 0.125, view.ops.zeros_like(each) - math.inf, each)
            for name, each in found.items()
        }


class Growing(Smallest):
    __doc__ = Smallest.__doc__

    def scores(self, view: Any) -> Mapping[str, Any]:
        factor = 1 + next(_calls) % 2
        return {name: each * factor for name, each in super().scores(view).items()}


class Writing(Smallest):
    __doc__ = Smallest.__doc__

    def scores(self, view: Any) -> Mapping[str, Any]:
        found = super().scores(view)
        for weight in view.weights.values():
            if isinstance(weight, np.ndarray) and weight.flags.writeable:
                weight *= 2
        return found


class Wavering(Allocating):
    __doc__ = Allocating.__doc__

    def allocate(self, view: Any, sparsity: float) -> Mapping[str, float]:
        less = 1 - 1e-12 * (next(_calls) % 2)
        return {name: share * less for name, share in super().allocate(view, sparsity).items()}


class Returning(Allocating):
    __doc__ = Allocating.__doc__

    def allocate(self, view: Any, sparsity: float) -> Mapping[str, float]:
        return dict.fromkeys(view.weights, sparsity if sparsity < 0.5 else 1 - sparsity)


class LastFirst(Smallest):
    __doc__ = Smallest.__doc__

    def scores(self, view: Any) -> Mapping[str, Any]:
        found = {}
        for name, weight in view.weights.items():
            array = np.abs(np.asarray(weight))
            found[name] = array - (np.arange(array.size).reshape(array.shape) / 1000).astype(array.dtype)
        return found


class Envious(Smallest):
    __doc__ = Smallest.__doc__

    def scores(self, view: Any) -> Mapping[str, Any]:
        sign = -1 if len(view.weights) > 1 else 1
        return {name: each * sign for name, each in super().scores(view).items()}


class Eager(Allocating):
    __doc__ = Allocating.__doc__

    def allocate(self, view: Any, sparsity: float) -> Mapping[str, float]:
        return dict.fromkeys(view.weights, max(sparsity, 0.25))


class NoEmptiness(Smallest):
    __doc__ = Smallest.__doc__

    def scores(self, view: Any) -> Mapping[str, Any]:
        if not all(math.prod(weight.shape) for weight in view.weights.values()):
            raise ValueError("the maximum of nothing")
        return super().scores(view)


class NoHalves(Smallest):
    __doc__ = Smallest.__doc__

    def scores(self, view: Any) -> Mapping[str, Any]:
        if any("16" in str(weight.dtype) for weight in view.weights.values()):
            raise TypeError("half precision is not supported")
        return super().scores(view)


class NumpyOnly(Smallest):
    __doc__ = Smallest.__doc__

    def scores(self, view: Any) -> Mapping[str, Any]:
        found = super().scores(view)
        return {name: each if type(each) is np.ndarray else -each for name, each in found.items()}


class KeepsVolumes(Channels):
    __doc__ = Channels.__doc__

    def scores(self, view: Any) -> Mapping[str, Any]:
        found = super().scores(view)
        return {
            name: each if view.weights[name].ndim < 5 else view.weights[name] for name, each in found.items()
        }


class FirstFirst(Channels):
    __doc__ = Channels.__doc__

    def scores(self, view: Any) -> Mapping[str, Any]:
        found = {name: view.host(each) for name, each in super().scores(view).items()}
        return {
            name: each
            if np.all(each == each[:1])
            else each * (1 + np.arange(each.size, dtype=np.float32) / 50)
            for name, each in found.items()
        }


class NumpyChannels(Channels):
    __doc__ = Channels.__doc__

    def scores(self, view: Any) -> Mapping[str, Any]:
        found = super().scores(view)
        return {name: each if type(each) is np.ndarray else -each for name, each in found.items()}


@frozen
class ShortSighted(Smallest):
    __doc__ = Smallest.__doc__
    reach: str = field(default="weight", init=False)

    def scores(self, view: Any) -> Mapping[str, Any]:
        return _by_their_sum(view, super().scores(view))


@frozen
class FarSighted(Channels):
    __doc__ = Channels.__doc__
    reach: str = field(default="channel", init=False)

    def scores(self, view: Any) -> Mapping[str, Any]:
        return _by_their_sum(view, super().scores(view))


@frozen
class Blind(Smallest):
    __doc__ = Smallest.__doc__
    reach: str = field(default="shape", init=False)


def _by_their_sum(view: Any, scores: Mapping[str, Any]) -> dict[str, Any]:
    wide = {name: view.ops.astype(each, view.ops.float64) for name, each in scores.items()}
    return {name: each / (1 + float(view.ops.sum(each))) for name, each in wide.items()}


BAD = {
    "check_the_docstring_is_complete": Undocumented,
    "check_worked_examples": Largest,
    "check_scores_match_the_weights": FlattensVolumes,
    "check_scores_are_finite": Logarithm,
    "check_scores_are_repeatable": Growing,
    "check_the_model_is_not_changed": Writing,
    "check_the_asked_sparsity_is_reached": Wavering,
    "check_masks_are_nested": Returning,
    "check_ties_fall_to_the_lower_index": LastFirst,
    "check_other_layers_do_not_matter": Envious,
    "check_the_order_of_channels_does_not_matter": FirstFirst,
    "check_sparsity_zero_keeps_everything": Eager,
    "check_empty_and_single_weights_work": NoEmptiness,
    "check_every_precision_works": NoHalves,
    "check_masks_are_the_same_on_every_backend": NumpyOnly,
    "check_a_declared_reach_is_true": ShortSighted,
}

BAD_CHANNELS = {
    "check_a_declared_reach_is_true": FarSighted,
    "check_scores_match_the_weights": KeepsVolumes,
    "check_masks_are_the_same_on_every_backend": NumpyChannels,
}
"""More of those that score channels."""

MORE = (BAD_CHANNELS, {"check_a_declared_reach_is_true": Blind})
"""Others that break a promise of which there is an example above."""
