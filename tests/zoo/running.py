"""One network through `pruners.remove`, beside a reference of our own."""

from __future__ import annotations

import copy
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import pruners
from pruners import timing
from pruners.protocols import Form

from .entry import Entry
from .masking import KeptFeatures, masked
from .results import Result
from .tensors import TOLERANCE, cast, distance, leaves, outputs

SPARSITY = 0.5
clock = time.process_time


def run(entry: Entry, form: Form, pruner: str = "filter-norm", small: bool = False) -> Result:
    """Remove half of a network's channels, compare, and return what came of it, errors included."""
    torch.set_num_threads(1)
    torch.backends.mha.set_fastpath_enabled(False)  # its fused kernels round otherwise than the parts
    found: dict[str, Any] = {"name": entry.name, "family": entry.family, "form": form}
    found["image"] = entry.image(small)
    try:
        model, inputs = entry.build(small)
        original = copy.deepcopy(model)
        _make_ready(pruner, form)
        found["forward"] = forward_seconds(model, inputs)
        removal = pruners.remove(
            model,
            pruner,
            sparsity=SPARSITY,
            example_inputs=inputs,
            form=form,
            measure=0,
            **entry.options,
        )
    except pruners.PrunersError as error:
        return Result(**found, refused=_short(error))
    except Exception as error:  # whatever else is raised is a finding, too
        return Result(**found, refused=f"{type(error).__name__}: {_short(error)}", broken=True)
    found.update(_numbers(removal))
    try:
        found.update(compare(entry, original, removal, inputs))
        found["trains"] = training_step(original, removal.model, inputs, removal.form)
    except Exception as error:
        return Result(**found, refused=f"comparing: {type(error).__name__}: {_short(error)}", broken=True)
    found["memory"] = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Result(**found)


def _make_ready(pruner: str, form: Form) -> None:
    """Load what the first removal loads, and count processor time: it is the same on a busy machine."""
    vars(timing)["perf_counter"] = clock
    tiny = nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 2)).eval()
    pruners.remove(tiny, pruner, sparsity=SPARSITY, example_inputs=torch.ones(1, 2), form=form, measure=0)


def forward_seconds(model: nn.Module, inputs: tuple[Any, ...]) -> float:
    """Return the median of three forward passes, after one that warms up."""
    return statistics.median(_timed(lambda: outputs(model, inputs)) for _ in range(4)[1:])


def _timed(call: Callable[[], object]) -> float:
    begin = clock()
    call()
    return clock() - begin


def _numbers(removal: pruners.Removal) -> dict[str, Any]:
    return {
        "proof_error": removal.proof.error,
        "proof_dtype": removal.proof.dtype,
        "groups": len(removal.groups),
        "units": sum(group.units for group in removal.groups),
        "left": sum(group.units - group.kept for group in removal.groups),
        "parameters": (removal.parameters.before, removal.parameters.after),
        "macs": (removal.macs.before, removal.macs.after),
        "whole": dict(removal.whole),
        "restored": {group.layer: group.restored for group in removal.groups if group.restored},
        "unruled": removal.unruled,
        "seconds": dict(removal.seconds),
    }


def compare(
    entry: Entry, original: nn.Module, removal: pruners.Removal, inputs: tuple[Any, ...]
) -> dict[str, Any]:
    """Compare the smaller model with the masked original, in float64 where it runs in that."""
    heads = entry.heads if removal.form == "module" else ()
    try:
        return _compare(original, removal, inputs, torch.float64, heads)
    except (RuntimeError, TypeError):
        return _compare(original, removal, inputs, torch.float32, heads)


def _compare(
    original: nn.Module,
    removal: pruners.Removal,
    inputs: tuple[Any, ...],
    dtype: torch.dtype,
    heads: tuple[str, ...],
) -> dict[str, Any]:
    inputs = cast(inputs, dtype)
    before = outputs(copy.deepcopy(original).to(dtype), inputs, heads)
    reference = masked(original, removal.plan.kept).to(dtype)
    with KeptFeatures(reference, removal.plan.kept):
        expected = outputs(reference, inputs, heads)
    found = outputs(copy.deepcopy(removal.model).to(dtype), inputs, heads)
    error = distance(expected[""], found[""])
    heads_error = max((distance(expected[name], found[name]) for name in heads), default=0.0)
    return {
        "dtype": str(dtype).removeprefix("torch."),
        "error": error,
        "heads_error": heads_error,
        "exact": max(error, heads_error) <= TOLERANCE[dtype],
        "moved": max(distance(before[name], expected[name]) for name in before),
    }


def training_step(original: nn.Module, smaller: nn.Module, inputs: tuple[Any, ...], form: str) -> str:
    """Run the smaller model forward and backward as in training, if the original can be."""
    try:
        _step(copy.deepcopy(original).train(), inputs)
    except Exception:  # detectors want targets
        return ""
    smaller = copy.deepcopy(smaller)
    try:
        return _step(smaller if form == "graph" else smaller.train(), inputs)
    except Exception as error:
        return f"{type(error).__name__}: {_short(error)}"


def _step(model: nn.Module, inputs: tuple[Any, ...]) -> str:
    torch.manual_seed(0)
    loss = torch.stack([each.square().mean() for each in leaves(model(*inputs)) if each.requires_grad]).sum()
    loss.backward()
    gradients = [each.grad for each in model.parameters() if each.grad is not None]
    if not gradients:
        return "no parameter has a gradient"
    return "yes" if all(torch.isfinite(each).all() for each in gradients) else "a gradient is not finite"


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:400]
