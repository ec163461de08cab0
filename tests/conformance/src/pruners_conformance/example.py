"""One worked example: what goes in, and the mask or the outputs that must come out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen

from pruners.selection import Scope

Arrays = Mapping[str, Any]


def _same_names(example: Example, _: Any, masks: Arrays) -> None:
    if set(masks) != set(example.weights):
        raise ValueError(
            f"an example needs one mask per layer: weights has {sorted(example.weights)}, "
            f"masks has {sorted(masks)}"
        )


@frozen
class Example:
    """
    One example worked by hand, from the paper where it has one.

    Parameters
    ----------
    weights : {name: (out, in, *kernel) array_like}
        Weights of a small model. For a pattern: the scores, larger is kept.
    sparsity : float
        Asked fraction of zeros, 0 to 1; for pruners that allocate, the strength.
    masks : {name: array_like of 0 and 1}
        The mask of each layer, 1 where kept: in the shape of its weights, or one number per
        output channel.
    scope : {"output", "layer", "model"}
        What competes with what.
    gradients : {name: array_like}
        For pruners that ask for gradients: the mean loss gradient of each weight.
    inputs : {name: x}
        For pruners that ask for inputs: what the layer's weights are multiplied by,
        ``(sample, group, in, *kernel)``.
    activations : {name: (z, dz)}
        For pruners that ask for activations: output of the layer ``(batch, channel, ...)``
        and the loss gradient with respect to it.
    activated : {name: a}
        For pruners that ask for what comes past the nonlinearity: ``(batch, channel, ...)``.
    consumers : {name: (weight, patches)}
        For pruners that ask who reads a layer: ``(out, channel, position)`` of the one reader,
        and ``(sample, channel, position)``, what it sees.
    scales : {name: scale}
        For pruners that ask for batch norms: the scale ``(channel,)`` of each layer's.

    Raises
    ------
    ValueError
        If the masks are not of the same layers as the weights.

    Examples
    --------
    >>> Example({"w": [[3.0, -1.0]]}, 0.5, {"w": [[1, 0]]}).sparsity
    0.5
    """

    weights: Arrays
    sparsity: float
    masks: Arrays = field(validator=_same_names)
    scope: Scope = field(default="layer", kw_only=True)
    gradients: Arrays = field(factory=dict, kw_only=True)
    inputs: Arrays = field(factory=dict, kw_only=True)
    activations: Arrays = field(factory=dict, kw_only=True)
    activated: Arrays = field(factory=dict, kw_only=True)
    consumers: Arrays = field(factory=dict, kw_only=True)
    scales: Arrays = field(factory=dict, kw_only=True)


@frozen
class RuntimeExample:
    """
    One model for a runtime, and what it gives.

    Parameters
    ----------
    make : callable
        ``make(path)`` writes the model's file in the runtime's format to `path`, or returns the live
        model where the runtime opens live ones.
    inputs : sequence of array_like
        What the model is called with, in order.
    outputs : sequence of array_like
        What it gives, in order.

    Examples
    --------
    >>> double = RuntimeExample(lambda path: path.write_text("y = 2 x"), [[1.0, 3.0]], [[2.0, 6.0]])
    >>> double.outputs
    [[2.0, 6.0]]
    """

    make: Callable[[Path], Any]
    inputs: Sequence[Any]
    outputs: Sequence[Any]
