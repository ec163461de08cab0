"""How long it takes to find and cut what hangs together, beside Torch-Pruning, and how much each can do.

    python benchmarks/structure.py
    python benchmarks/structure.py 'torchvision/*' --limit 60

Both get the same networks with the same random weights and remove half of the channels. Every network and
tool has a process and a limit on its time of its own, one thread. A result counts as exact when the smaller
model computes what the masked original computes (float64, 1e-6). Torch-Pruning is told which layers give
the output, as its manual asks, and nothing else.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import click
from attrs import asdict, evolve
from measuring import Columns, record
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.zoo.catalogue import find, matching  # noqa: E402
from tests.zoo.driving import ONE_THREAD, alone  # noqa: E402
from tests.zoo.entry import Entry  # noqa: E402
from tests.zoo.results import REDUCTION, Result, best, from_line, to_json  # noqa: E402

HEADS = ("network", "tool", "result", "parameters", "forward ms", "analysis ms", "removal ms", "proof ms")
CHILD = "--child"
PRUNER = "filter-norm"


def ours(entry: Entry, limit: float, size: str) -> Result:
    """Return the form that counts, in place or as a graph."""
    found = {}
    for form in ("module", "graph"):
        result = alone(entry, form, PRUNER, limit, size)
        found[entry.name, form] = result
        if result.good:
            break
    return best(found)[entry.name]


def theirs(entry: Entry, limit: float, size: str) -> Result:
    """Run Torch-Pruning in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "result"
        command = [sys.executable, __file__, CHILD, entry.name, size, str(file)]
        try:
            subprocess.run(command, env={**os.environ, **ONE_THREAD}, timeout=limit, capture_output=True)
        except subprocess.TimeoutExpired:
            return _lost(entry, f"took more than {limit:.0f} s")
        return from_line(file.read_text(encoding="utf-8")) if file.exists() else _lost(entry, "crashed")


def _lost(entry: Entry, why: str) -> Result:
    return Result(entry.name, entry.family, "torch-pruning", refused=why, broken=True)


def child(name: str, size: str, file: str) -> None:
    import torch
    from rival import torch_pruning

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    Path(file).write_text(to_json(torch_pruning(find(name), size == "small")), encoding="utf-8")


TOOLS: dict[str, Callable[[Entry, float, str], Result]] = {"pruners": ours, "torch-pruning": theirs}


def stages(result: Result) -> tuple[float, float, float]:
    """Return the seconds of analysis, of planning and removal, and of the proof."""
    first, proof = result.seconds.get("analysis", 0.0), result.seconds.get("proof", 0.0)
    return first, sum(result.seconds.values()) - first - proof, proof


def row(tool: str, result: Result) -> tuple[str, ...]:
    lost = result.refused if len(result.refused) < 60 else result.refused[:57] + "..."
    verdict = lost or ("exact" if result.exact else f"differs by {result.error:.0e}")
    times = [f"{1000 * seconds:.0f}" if seconds else "" for seconds in (result.forward, *stages(result))]
    fell = f"-{result.reduction:.0%}" if result.reduction else ""
    return (result.name, tool, verdict.replace("|", "/"), fell, *times)


def sound(result: Result) -> bool:
    return result.exact and not result.refused


def totals(tool: str, results: Sequence[Result], common: set[str]) -> tuple[str, ...]:
    """Return what a tool can do on all networks, and its times in forward passes on those both can do."""
    timed = [each for each in results if each.name in common]
    medians = [""] * 3
    if timed:
        shares = [[seconds / each.forward for seconds in stages(each)] for each in timed]
        medians = [f"{statistics.median(column):.1f}" for column in zip(*shares, strict=True)]
    counts = (
        sum(not each.refused for each in results),
        sum(map(sound, results)),
        sum(sound(each) and each.reduction >= REDUCTION for each in results),
    )
    return (tool, str(len(results)), *map(str, counts), *medians)


def tables(found: dict[str, list[Result]]) -> list[Columns]:
    """Return the totals and every network."""
    common = set.intersection(*({each.name for each in part if sound(each)} for part in found.values()))
    heads = (
        "tool",
        "networks",
        "runs",
        "exact",
        f"exact, -{REDUCTION:.0%} parameters",
        "analysis, forwards",
        "removal, forwards",
        "proof, forwards",
    )
    lines = tuple(totals(tool, part, common) for tool, part in found.items())
    pairs = zip(*found.values(), strict=True)
    rows = tuple(row(tool, each) for pair in pairs for tool, each in zip(found, pair, strict=True))
    title = f"What each can do, and median times on the {len(common)} networks that both can"
    return [Columns(title, heads, lines), Columns("Every network", HEADS, rows)]


def show(columns: Columns, console: Console) -> None:
    table = Table(title=columns.title)
    for head in columns.heads:
        table.add_column(head)
    for line in columns.lines:
        table.add_row(*line)
    console.print(table)


def takes_tensors(entry: Entry) -> bool:
    """Return whether a network is no detector: Torch-Pruning needs what torch.autograd sees as one graph."""
    return not entry.heads


@click.command(help=__doc__)
@click.argument("patterns", nargs=-1)
@click.option("--limit", default=150.0, show_default=True, help="Seconds a network may take.")
@click.option("--small", is_flag=True, help="Small images, which weigh analysis more than a forward pass.")
@click.option("--rounds", default=1, hidden=True, help="Taken by every benchmark; here once is enough.")
@click.option("--write/--no-write", default=True, help="Record the result under benchmarks/results.")
def main(patterns: tuple[str, ...], limit: float, small: bool, rounds: int, write: bool) -> None:
    console = Console(soft_wrap=True)
    found: dict[str, list[Result]] = {tool: [] for tool in TOOLS}
    for entry in filter(takes_tensors, matching(patterns)):
        for tool, run in TOOLS.items():
            found[tool].append(run(entry, limit, "small" if small else "full"))
            console.print("  ".join(row(tool, found[tool][-1])), markup=False, highlight=False)
    for columns in tables(found):
        show(columns, console)
    if write:
        figures = {tool: [asdict(evolve(each, whole={})) for each in part] for tool, part in found.items()}
        libraries = ", ".join(f"{name} {version(name)}" for name in ("torch-pruning", "torchvision", "timm"))
        note = (
            f"Beside {libraries}; {'small images' if small else 'images of published size'}, batches of two."
        )
        record("structure", figures, tables(found), [note])


if __name__ == "__main__":
    if sys.argv[1:2] == [CHILD]:
        child(*sys.argv[2:])
    else:
        main()
