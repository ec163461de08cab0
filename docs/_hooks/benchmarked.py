"""The page of benchmarks: the newest results of every benchmark, and which goals they reach."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import benchmark_tables
import goals
from measured import RESULTS, machine

Result = Mapping[str, Any]

TITLES = {
    "selection": ("Selection", "Exact masks from scores, beside what NumPy and PyTorch offer."),
    "mask-step": ("Keeping zeros, PyTorch", "What keeping zeros costs a training step."),
    "mask-step-mxnet": ("Keeping zeros, MXNet", "What keeping zeros costs a training step."),
    "structure": (
        "Analysis and removal",
        "What hangs together is found, half of the channels removed; times are in forward passes of the "
        "original network, medians over the networks that every tool gets right.",
    ),
    "channels": (
        "Accuracy after removal",
        "Top-1 accuracy of a ResNet-20 on CIFAR-10 by what ranks the channels, mean and range of the runs.",
    ),
    "file-size": (
        "Sparse files",
        "Sizes, and the time to write and to read, in brackets beside the safetensors library's. Each file "
        "is read by a new process, and once more by the same.",
    ),
    "runtimes": ("Runtimes", "Exported models where they are deployed, dense and pruned in turn."),
    "distributed": ("Several processes", "Masks of a model that several processes hold together."),
}
"""Heading and first sentence of the benchmarks that are known; others are shown after them."""


def results(folder: Path = RESULTS) -> dict[str, Result]:
    """Return the newest result of every benchmark, in the order of the page."""
    found: dict[str, Result] = {}
    for path in sorted(folder.glob("*-????-??-??.json")):  # the same benchmark's later dates come later
        found[path.stem[: -len("-0000-00-00")]] = json.loads(path.read_text(encoding="utf-8"))
    known = [name for name in TITLES if name in found]
    return {name: found[name] for name in [*known, *sorted(found.keys() - set(known))]}


def page(folder: Path = RESULTS) -> str:
    """Return everything on the page that is measured."""
    found = results(folder)
    parts = ["## Goals", "", goals.table(found), ""]
    for name, result in found.items():
        title, about = TITLES.get(name, (name.replace("-", " ").capitalize(), ""))
        parts += [f"## {title}", "", *([about, ""] if about else []), machine(result), ""]
        parts += [*_notes(name, result, folder), _told(name, result, folder), ""]
    return "\n".join(parts)


def _notes(name: str, result: Result, folder: Path) -> list[str]:
    """Return what the record says before its tables, after its title and machine."""
    before, _, _ = _recorded(name, result, folder).partition("\n## ")
    return [line for each in before.split("\n\n")[2:] if each.strip() for line in (each.strip(), "")]


def _told(name: str, result: Result, folder: Path) -> str:
    tables = benchmark_tables.tables(name, result["figures"])
    if tables is not None:
        return "\n\n".join(tables)
    _, _, rest = _recorded(name, result, folder).partition("\n## ")
    return f"\n## {rest}".replace("\n## ", "\n### ").strip()


def _recorded(name: str, result: Result, folder: Path) -> str:
    path = folder / f"{name}-{result['date']}.md"
    return path.read_text(encoding="utf-8") if path.is_file() else ""
