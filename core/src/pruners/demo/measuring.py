"""What the demo measures: files really written, milliseconds really spent, promises really kept."""

from __future__ import annotations

import gzip
import time
from pathlib import Path

import numpy as np
import torch
from attrs import frozen
from torch import Tensor, nn

from ..measuring.latency import Latency
from ..registry import backend_for
from ..reports import Report
from .training import BANK, SPARSITY, Run

ROUNDS = 200
WARM_UP = 5
TOTAL = 0.9
"""Fraction of all listed weights that is zero in the end, at least."""


@frozen
class FileSize:
    """One file as stored and beside it the same, compressed with gzip; sizes in bytes."""

    path: Path
    stored: int
    zipped: int


def write(model: nn.Module, path: Path) -> FileSize:
    """Save a model and a gzip-compressed copy."""
    backend_for(model).open(model).save(str(path))
    zipped = path.with_name(path.name + ".gz")
    zipped.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    return FileSize(path, path.stat().st_size, zipped.stat().st_size)


def race(dense: nn.Module, pruned: nn.Module, images: Tensor) -> tuple[Latency, Latency]:
    """Time two models in turn, round by round, so that whatever else the machine does hits both."""
    times: tuple[list[float], list[float]] = ([], [])
    with torch.inference_mode():
        for _ in range(WARM_UP + ROUNDS):
            for spent, model in zip(times, (dense.eval(), pruned.eval()), strict=True):
                start = time.perf_counter()
                model(images)
                spent.append(1000 * (time.perf_counter() - start))
    first, second = (Latency.of(spent[WARM_UP:]) for spent in times)
    return first, second


def verdict(dense: Latency, pruned: Latency, because: str = "") -> str:
    """Say what the measured times mean, and only that; `because` follows where there is no difference."""
    gain = dense.gain(pruned)
    if gain > 0:
        return f"The pruned network ran {gain:.0%} faster here."
    if gain < 0:
        return f"The pruned network is no faster here: it ran {-gain:.0%} slower."
    return f"The pruned network is no faster here{because}."


def broken_promises(dense: Run, pruned: Run) -> list[str]:
    """Check what the demo claims, counting anew; return one sentence for each claim that does not hold."""
    broken = []
    if dense.steps != pruned.steps:
        broken.append(f"dense took {dense.steps} steps and pruned {pruned.steps}")
    if list(dense.model.state_dict()) != list(pruned.model.state_dict()):
        broken.append("the pruned network's parameters have other names than the dense one's")
    for name, mask in pruned.masks.items():
        weight = pruned.model.get_parameter(name).detach().numpy()
        if np.count_nonzero(weight == 0) != round(SPARSITY * weight.size):
            broken.append(
                f"{name}: {np.count_nonzero(weight == 0)} zeros of {weight.size}, not {SPARSITY:.4f}"
            )
        if weight[~mask].view(np.int32).any():
            broken.append(f"{name}: a pruned weight is not +0.0")
        counts = bank_counts(mask)
        if counts.min() != counts.max():
            broken.append(f"{name}: banks keep {counts.min()} to {counts.max()} weights, not equally many")
    return broken


def broken_file(file: Path, report: Report) -> list[str]:
    """Check that the file has the zeros of the network, and that they are 90 % of it."""
    from safetensors.numpy import load_file

    saved = load_file(file)
    zeros = {row.name: saved[row.name].size - np.count_nonzero(saved[row.name]) for row in report.rows}
    few = [] if report.sparsity >= TOTAL else [f"total sparsity {report.sparsity:.4f} is below {TOTAL}"]
    return few + [
        f"{row.name}: {zeros[row.name]} zeros in {file.name}, {row.zeros} in the network"
        for row in report.rows
        if zeros[row.name] != row.zeros
    ]


def bank_counts(mask: np.ndarray) -> np.ndarray:
    """Return the kept weights of each bank of 64 neighbouring inputs of one output and kernel position."""
    rows = np.moveaxis(mask, 1, -1)
    return np.asarray(rows.reshape(-1, BANK).sum(axis=1))
