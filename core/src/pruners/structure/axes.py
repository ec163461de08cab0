"""Which stored axis of a parameter holds a layer's output channels, and which axes the user wants whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from ..errors import OptionError
from ..protocols import Layer
from .program import Program


def output_axes(layers: Mapping[str, Layer], programs: Mapping[str, Program]) -> dict[str, int]:
    """Return the stored axis of each layer's output channels: 1 in a transposed convolution, else 0."""
    swapped = {
        name
        for program in programs.values()
        for op in program.ops
        if op.kind == "conv" and op.options.get("transposed")
        for name, value in program.parameters.items()
        if value == op.inputs[1]
    }
    return {
        name: 1 if name in swapped else 0
        for name, layer in layers.items()
        if layer.default and len(layer.shape) > 1
    }


def ignored_axes(
    programs: Mapping[str, Program], weights: Mapping[str, int], patterns: Sequence[str]
) -> dict[str, int | None]:
    """Return the axes that the user wants whole: a layer's output channels, all of another parameter."""
    names = list(dict.fromkeys(name for program in programs.values() for name in program.parameters))
    found: dict[str, int | None] = {}
    for pattern in patterns:
        met = [name for name in names if _names(pattern, name)]
        if not met:
            raise OptionError(
                f"ignore names {pattern!r}, which is no layer, module or parameter of the model"
            )
        found.update({name: weights.get(name) for name in met})
    return found


def _names(pattern: str, name: str) -> bool:
    module = name.rpartition(".")[0]
    return fnmatchcase(name, pattern) or fnmatchcase(module, pattern) or module.startswith(pattern + ".")
