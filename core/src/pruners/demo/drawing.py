"""The demo's figure: both networks learning, and one layer's zeros."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..plots import INK, clean, new_figure
from .training import BANK, Run

DENSE, PRUNED, KEPT = "#7a828a", "#c2410c", "#1e3a5f"
LAYER = "fc.weight"


def draw(dense: Sequence[Run], pruned: Sequence[Run], path: Path) -> None:
    """Draw accuracy and sparsity over steps above one layer's mask, and write the file."""
    figure = new_figure(10, 7.6)
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1, hspace=0.03)
    top, bottom = figure.subfigures(2, 1, height_ratios=(1.35, 1))
    accuracy, sparsity = top.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    draw_accuracy(accuracy, {"dense": dense, "pruned": pruned})
    _draw_sparsity(sparsity, pruned[0])
    _draw_mask(bottom.subplots(), pruned[0].masks[LAYER])
    figure.savefig(path)


class Measured(Protocol):
    """A training that was measured on the way."""

    @property
    def accuracy(self) -> tuple[tuple[int, float], ...]:
        """``(step, fraction of held-out images named right)``."""
        ...


def draw_accuracy(axes: Any, networks: Mapping[str, Sequence[Measured]]) -> None:
    """Draw the accuracy of two networks, the dense one first, over steps: the mean, and worst to best."""
    clean(axes)
    for (name, runs), colour in zip(networks.items(), (DENSE, PRUNED), strict=True):
        steps = [step for step, _ in runs[0].accuracy]
        values = 100 * np.array([[value for _, value in run.accuracy] for run in runs])
        mean = values.mean(axis=0)
        axes.fill_between(
            steps, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.18, linewidth=0
        )
        axes.plot(steps, mean, color=colour, linewidth=2, label=f"{name}: {mean[-1]:.1f} % at the end")
    every = [run for runs in networks.values() for run in runs]
    lowest = min(value for run in every for _, value in run.accuracy[len(run.accuracy) // 4 :])
    axes.set_ylim(max(0, 100 * lowest - 6), 101)
    axes.set_ylabel("accuracy, %", color=INK, fontsize=9)
    axes.legend(loc="lower right", frameon=False, fontsize=9)
    count = len(every) // 2
    seeds = f"mean of {count} seeds, band from worst to best" if count > 1 else "one seed"
    axes.set_title(f"Held-out accuracy while training ({seeds})", loc="left", fontsize=10.5, color=INK)


def _draw_sparsity(axes: Any, run: Run) -> None:
    clean(axes)
    assert run.pruning is not None
    label = {"textcoords": "offset points", "ha": "right", "fontsize": 9}
    updates = [(update.step, 100 * update.sparsity) for update in run.pruning.log]
    steps = [0, *(step for step, _ in updates), run.steps]
    values = [0.0, *(value for _, value in updates), updates[-1][1]]
    axes.plot([0, run.steps], [0, 0], color=DENSE, linewidth=2, clip_on=False)
    axes.annotate("dense: none", (run.steps, 0), xytext=(0, 5), color=DENSE, **label)
    axes.step(steps, values, where="post", color=PRUNED, linewidth=2)
    end = f"pruned: {values[-1]:.1f} %"
    axes.annotate(end, (run.steps, values[-1]), xytext=(0, -14), color=PRUNED, **label)
    axes.set_ylim(0, 103)
    axes.set_xlim(0, run.steps)
    axes.set_yticks([0, 50, 100])
    axes.set_ylabel("zeros, %", color=INK, fontsize=9)
    axes.set_xlabel("optimizer step", color=INK, fontsize=9)


def _draw_mask(axes: Any, mask: np.ndarray) -> None:
    """Draw one column of cells per input and one row per output, with a gap after each bank."""
    outputs, inputs = mask.shape
    gap = 3
    cells = np.full((outputs, inputs + gap * (inputs // BANK - 1), 4), 1.0)
    from matplotlib.colors import to_rgba

    kept, pruned = to_rgba(KEPT), to_rgba("#eceff2")
    centres = []
    for bank in range(inputs // BANK):
        left = bank * (BANK + gap)
        part = mask[:, bank * BANK : (bank + 1) * BANK]
        cells[:, left : left + BANK] = np.where(part[..., None], kept, pruned)
        centres.append(left + BANK / 2 - 0.5)
    axes.imshow(cells, aspect="auto", interpolation="nearest")
    for output in range(1, outputs):
        axes.axhline(output - 0.5, color="white", linewidth=2)
    axes.set_xticks(
        centres, [f"bank {bank + 1}\n{_kept(mask, bank)} of {BANK}" for bank in range(len(centres))]
    )
    axes.set_yticks(range(outputs), [f"{digit}" for digit in range(outputs)])
    axes.tick_params(length=0, labelsize=8, colors=INK)
    axes.spines[:].set_visible(False)
    axes.set_ylabel("output, one per digit", color=INK, fontsize=9, labelpad=8)
    title = f"Weights kept in {LAYER}: every row keeps equally many in every bank of {BANK} inputs"
    axes.set_title(title, loc="left", fontsize=10.5, color=INK)


def _kept(mask: np.ndarray, bank: int) -> str:
    counts = np.unique(mask[:, bank * BANK : (bank + 1) * BANK].sum(axis=1))
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]}-{counts[-1]}"
