"""Torch-Pruning on one network of the zoo, judged as the zoo judges us.

Its own idea of what it removed is not needed: in float64, random weights tell by their values which
coordinates are left, so the masked original can be made and compared for it, too.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tests.zoo.catalogue.keypoints import JOINTS
from tests.zoo.entry import CLASSES, Entry
from tests.zoo.masking import KeptFeatures, masked
from tests.zoo.results import Result
from tests.zoo.running import SPARSITY, clock, forward_seconds, training_step
from tests.zoo.tensors import TOLERANCE, cast, distance, outputs

FORM = "torch-pruning"


def torch_pruning(entry: Entry, small: bool) -> Result:
    """Remove half of the channels with Torch-Pruning, its output layers named as its manual asks."""
    found: dict[str, Any] = {"name": entry.name, "family": entry.family, "form": FORM}
    model, inputs = entry.build(small)
    original = copy.deepcopy(model)
    found["forward"] = forward_seconds(model, inputs)
    before = sum(parameter.numel() for parameter in model.parameters())
    try:
        found["seconds"] = cut(model, inputs)
        after = sum(parameter.numel() for parameter in model.parameters())
        found["parameters"] = (before, after)
        found["trains"] = training_step(original, model, inputs, FORM)
        found.update(compare(original, inputs))
    except Exception as error:  # whatever it raises is its result
        return Result(
            **found, refused=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}", broken=True
        )
    return Result(**found)


def cut(model: nn.Module, inputs: tuple[Any, ...]) -> dict[str, float]:
    """Prune in place; return the seconds of its two stages."""
    import torch_pruning as tp

    begin = clock()
    pruner = tp.pruner.BasePruner(
        model,
        inputs,
        importance=tp.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=SPARSITY,
        ignored_layers=output_layers(model),
    )
    middle = clock()
    pruner.step()
    return {"analysis": middle - begin, "removal": clock() - middle}


def output_layers(model: nn.Module) -> list[nn.Module]:
    """Return the layers that give as many channels as there are classes or joints."""
    widths = {CLASSES, JOINTS}
    return [
        module
        for module in model.modules()
        if getattr(module, "out_features", None) in widths or getattr(module, "out_channels", None) in widths
    ]


def compare(original: nn.Module, inputs: tuple[Any, ...]) -> dict[str, Any]:
    """Remove once more in float64, where no two weights are equal, and compare with the masked original."""
    whole, wide = original.double(), cast(inputs, torch.float64)
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in [*whole.parameters(), *whole.buffers()]:
            if tensor.is_floating_point():
                tensor += 1e-9 * torch.rand(tensor.shape, dtype=torch.float64, generator=draw)
    smaller = copy.deepcopy(whole)
    cut(smaller, wide)
    kept = {
        name: axes
        for name, small in [*smaller.named_parameters(), *smaller.named_buffers()]
        if (axes := kept_axes(find(whole, name), small))
    }
    reference = masked(whole, kept)
    with KeptFeatures(reference, kept):
        expected = outputs(reference, wide)[""]
    error = distance(expected, outputs(smaller, wide)[""])
    return {"error": error, "dtype": "float64", "exact": error <= TOLERANCE[torch.float64]}


def find(model: nn.Module, name: str) -> Tensor:
    """Return a parameter or buffer by name."""
    owner, _, last = name.rpartition(".")
    return getattr(model.get_submodule(owner), last)


def kept_axes(whole: Tensor, small: Tensor) -> Mapping[int, np.ndarray]:
    """Return the coordinates of `whole` that are left in `small`, by its values; nothing for equal shapes."""
    if whole.shape == small.shape or not whole.is_floating_point():
        return {}
    values, part = whole.detach().numpy(), small.detach().numpy()
    origin = np.argwhere(values == part[(0,) * part.ndim])
    axes = [axis for axis in range(values.ndim) if values.shape[axis] != part.shape[axis]]
    for start in origin:
        found = {axis: _fibre(values, part, start, axis) for axis in axes}
        if all(len(indices) == part.shape[axis] for axis, indices in found.items()):
            return found
    raise ValueError("what is left is no part of the original")


def _fibre(values: np.ndarray, part: np.ndarray, start: np.ndarray, axis: int) -> np.ndarray:
    """Return where the first fibre of `part` along an axis lies in the fibre of `values` through `start`."""
    long = values[tuple(slice(None) if each == axis else at for each, at in enumerate(start))]
    short = part[tuple(slice(None) if each == axis else 0 for each in range(part.ndim))]
    return np.flatnonzero(np.isin(long, short))
