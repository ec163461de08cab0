"""The measurements of a plugin: the newest of each benchmark's results, with machine and date."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import Any

RESULTS = Path(__file__).parents[2] / "benchmarks/results"
SELECTED = {
    "level": "one float32 layer, 1e+07 weights, 90 %",
    "nm": "2 of 4, 2048 x 4608, float32",
    "bank": "16 of 64, 2048 x 4608, float32",
}
"""The case of the benchmark of selection that a plugin is measured by."""
ALWAYS = ("same shape from scratch", "dense, trained on")


def newest(benchmark: str, folder: Path = RESULTS) -> Mapping[str, Any] | None:
    """Return the newest results of one benchmark; None where it has never been run."""
    paths = sorted(folder.glob(f"{benchmark}-????-??-??.json"))
    return json.loads(paths[-1].read_text()) if paths else None


def table(name: str, folder: Path = RESULTS) -> str:
    """Return what was measured of a plugin, empty where nothing was."""
    found = [_accuracy(name, folder), _selection(name, folder)]
    return "\n\n".join(part for part in found if part)


def _accuracy(name: str, folder: Path) -> str:
    results = newest("channels", folder)
    runs = [run for run in results["figures"] if "tuned" in run] if results else []
    if name not in {run["network"] for run in runs}:
        return ""
    dense = max(run["macs"] for run in runs)
    order = sorted({run["network"] for run in runs} - set(ALWAYS), key=lambda each: (each != name, each))
    rows = [
        "| network | MACs less, % | parameters | dense, % | removed, % | fine-tuned, % |",
        "|---|---|---|---|---|---|",
    ]
    for network in [*order, *ALWAYS]:
        mine = [run for run in runs if run["network"] == network]
        if mine:
            share = f"{100 * (1 - mine[0]['macs'] / dense):.1f}"
            before = f"{100 * mine[0]['dense']:.1f}" if network != ALWAYS[0] else ""
            figures = (
                share,
                f"{mine[0]['parameters']:,}",
                before,
                _range(mine, "removed"),
                _range(mine, "tuned"),
            )
            label = f"**{network}**" if network == name else network
            rows.append(f"| {label} | {' | '.join(figures)} |")
    seeds = len([run for run in runs if run["network"] == name])
    told = f"Top-1 accuracy of a ResNet-20 on CIFAR-10, mean and range of {seeds} runs; the protocol is in"
    return "\n".join(
        [*rows, "", f"{told} `benchmarks/results/channels-{results['date']}.md`. {machine(results)}"]
    )


def _range(runs: list[Mapping[str, Any]], key: str) -> str:
    values = [100 * run[key] for run in runs]
    return f"{mean(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def _selection(name: str, folder: Path) -> str:
    results = newest("selection", folder)
    cases = [case for case in results["figures"] if case["title"] == SELECTED.get(name)] if results else []
    if not cases:
        return ""
    rows = ["| masks by | ns per weight | peak bytes per weight |", "|---|---|---|"]
    for row in cases[0]["rows"]:
        peak = row["peak_bytes_per_weight"]
        label = "**Pruners**" if row["name"] == "ours" else row["name"]
        rows.append(f"| {label} | {row['ns_per_weight']:.2f} | {'' if peak is None else f'{peak:.2f}'} |")
    return "\n".join([*rows, "", f"Selection alone, {SELECTED[name]}. {machine(results)}"])


def machine(results: Mapping[str, Any]) -> str:
    """Return where and when something was measured."""
    about, versions = results["machine"], results["versions"]
    told = ", ".join(f"{library} {version}" for library, version in versions.items())
    threads = "one thread" if results["threads"] == 1 else f"{results['threads']} threads"
    return f"{about['processor']}, {about['system']}, {threads}; {told}; {results['date']}."
