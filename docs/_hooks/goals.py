"""What was asked before it was built, beside what is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

from attrs import frozen
from benchmark_tables import LIBRARY, markdown, number, stages

Figures = Any
SPARSE = "ours, sparse"


@frozen
class Goal:
    """One number that was asked for."""

    benchmark: str
    what: str
    asked: float
    unit: str
    measure: Callable[[Figures], float]
    """From a benchmark's figures; `KeyError` where they do not have it."""
    at_least: bool = False

    def reached(self, found: float) -> bool:
        """Return whether a measured number is good enough."""
        return found >= self.asked if self.at_least else found <= self.asked


def selected(title: str, key: str = "times_limit") -> Callable[[Figures], float]:
    """Return what finds a number of ours in one case of the benchmark of selection."""

    def measure(figures: Figures) -> float:
        return float(_row(figures, title, "ours")[key])

    return measure


def _row(figures: Figures, title: str, way: str) -> Mapping[str, Any]:
    for case in figures:
        for row in case["rows"]:
            if (case["title"], row["name"]) == (title, way):
                return row  # type: ignore[no-any-return]
    raise KeyError(title)


POOLED = "the weights of a ResNet-50, pooled, 90 %"


def _times_torch(figures: Figures) -> float:
    rows = [_row(figures, POOLED, way) for way in ("prune.global_unstructured", "ours")]
    return float(rows[0]["ns_per_weight"] / rows[1]["ns_per_weight"])


def _pooled_seconds(figures: Figures) -> float:
    (weights,) = (case["weights"] for case in figures if case["title"] == POOLED)
    return float(_row(figures, POOLED, "ours")["ns_per_weight"] * weights / 1e9)


def stepped(case: str, key: str) -> Callable[[Figures], float]:
    """Return what finds a number of ours in one case of what keeping zeros costs."""

    def measure(figures: Figures) -> float:
        found = [row[key] for row in figures if row["case"].startswith(case) and row["way"] == "pruners"]
        if not found:
            raise KeyError(case)
        return float(max(found))

    return measure


def _analysis(figures: Figures) -> float:
    return float(median(stages(row)[0] / row["forward"] for row in figures["pruners"] if not row["refused"]))


def _removal(figures: Figures) -> float:
    rows = [row for row in figures["pruners"] if not row["refused"]]
    if any("removal with proof" in row["seconds"] for row in rows):
        raise KeyError("removal")  # the proof is in it
    return float(median(stages(row)[1] / row["forward"] for row in rows))


def _exact(figures: Figures) -> float:
    rows = figures["pruners"]
    return float(100 * sum(row["exact"] and not row["refused"] for row in rows) / len(rows))


def filed(model: str, key: str, scale: float = 1.0) -> Callable[[Figures], float]:
    """Return what finds a number of a sparse file."""

    def measure(figures: Figures) -> float:
        found = [row[key] for row in figures if row["model"].startswith(model) and row["way"] == SPARSE]
        if not found:
            raise KeyError(model)
        return float(found[0]) * scale

    return measure


def slowest(*keys: str) -> Callable[[Figures], float]:
    """Return what finds the largest ratio of a sparse file's times to the library's, of the large models."""

    def measure(figures: Figures) -> float:
        rows = {(row["model"], row["way"]): row for row in figures if row["model"].startswith("ResNet-50")}
        models = {model for model, _ in rows}
        return float(
            max(rows[each, SPARSE][key] / rows[each, LIBRARY][key] for each in models for key in keys)
        )

    return measure


LIMIT = "times the memory limit"
GOALS = (
    Goal(
        "selection",
        "one layer of a million weights",
        8,
        LIMIT,
        selected("one float32 layer, 1e+06 weights, 90 %"),
    ),
    Goal("selection", "of ten million", 5, LIMIT, selected("one float32 layer, 1e+07 weights, 90 %")),
    Goal("selection", "of a hundred million", 5, LIMIT, selected("one float32 layer, 1e+08 weights, 90 %")),
    Goal(
        "selection",
        "memory for ten million weights, the mask included",
        1.5,
        "bytes per weight",
        selected("one float32 layer, 1e+07 weights, 90 %", "peak_bytes_per_weight"),
    ),
    Goal("selection", "a ResNet-50 as a whole", 0.04, "seconds", _pooled_seconds),
    Goal("selection", "the same, beside PyTorch", 100, "times as fast", _times_torch, at_least=True),
    Goal("selection", "2 of 4", 5, LIMIT, selected("2 of 4, 2048 x 4608, float32")),
    Goal("selection", "16 of 64", 6, LIMIT, selected("16 of 64, 2048 x 4608, float32")),
    Goal(
        "mask-step", "a ResNet-18 on small images", 2, "% of a step", stepped("ResNet", "masking % of plain")
    ),
    Goal("mask-step", "the worst case, a wide MLP", 12, "% of a step", stepped("MLP", "masking % of plain")),
    Goal("mask-step", "every case", 0.6, "ns per weight", stepped("", "masking ns/weight")),
    Goal("mask-step-mxnet", "a ResNet-18", 5, "% of a step", stepped("", "masking % of plain")),
    Goal("structure", "networks that stay exact", 97, "%", _exact, at_least=True),
    Goal("structure", "analysis", 3, "forward passes", _analysis),
    Goal("structure", "planning and removal, without the proof", 2, "forward passes", _removal),
    Goal(
        "file-size",
        "float32 weights, 90 % zeros",
        0.55,
        "bytes per weight",
        filed("ResNet-50, 90 %", "bytes_per_weight"),
    ),
    Goal(
        "file-size",
        "float32 weights, 95 % zeros",
        0.34,
        "bytes per weight",
        filed("ResNet-50, 95 %", "bytes_per_weight"),
    ),
    Goal("file-size", "a MobileNet v1, 75 % and 80 % zeros", 4.3, "MB", filed("MobileNet", "bytes", 1e-6)),
    Goal("file-size", "writing a ResNet-50, the slowest", 2, "times the library's", slowest("write")),
    Goal("file-size", "reading a ResNet-50, the slowest", 2, "times the library's", slowest("read", "again")),
)


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return every goal and what was measured, and a sentence on what is missed."""
    rows, missed, met = [], [], 0
    for goal in GOALS:
        found = _found(goal, results)
        bound = f"{'at least' if goal.at_least else 'at most'} {number(goal.asked)} {goal.unit}"
        verdict = "" if found is None else ("yes" if goal.reached(found) else "**no**")
        if found is not None and goal.reached(found):
            met += 1
        elif found is not None:
            missed.append(f"{goal.what} ({goal.benchmark})")
        rows.append(
            [goal.benchmark, goal.what, bound, "not measured" if found is None else number(found), verdict]
        )
    text = markdown(("benchmark", "of what", "asked", "measured", "reached"), rows)
    told = f"Reached: {met}; missed: {len(missed)}; not measured: {len(GOALS) - met - len(missed)}."
    return "\n\n".join([told + (f" Missed are {'; '.join(missed)}." if missed else ""), text])


def _found(goal: Goal, results: Mapping[str, Mapping[str, Any]]) -> float | None:
    try:
        return goal.measure(results[goal.benchmark]["figures"])
    except KeyError:
        return None
