"""Sparsity, and what the user recorded, over the session's time."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np

from ..plots import clean
from ..records import Record
from .drawing import KEPT, colour, draw
from .elements import Bar, Block, Cell, Figure, Section, short, table_of
from .given import Given, Session

HOW = "give a session, or its state_dict: session=, --session"
LISTED = 200
"""So many entries are listed; all of them are in the JSON."""


def section(given: Given) -> Section | None:
    """Return what happened when, or None without a session's log."""
    session = given.session
    if session is None or not (session.log or session.history):
        return None
    names = list(dict.fromkeys(name for entry in session.history for name in entry.metrics))
    lines = [_first(session, names)]
    lines += [
        f"{name} was {value!r} at {session.clock.split()[-1].rstrip('s')} {entry.step:,}."
        for entry in session.history
        for name, value in entry.metrics.items()
        if not isfinite(value)
    ][:5]
    moved = max([session.time, *(entry.step for entry in session.history)]) > 0
    figures = (_figure(session, names),) if moved else ()
    return Section(
        name="history",
        title="Over time",
        lines=lines,
        blocks=[Block(figures=figures, table=_table(session, names))],
        data={
            "time": session.clock,
            "masks": [{"step": step, "sparsity": sparsity} for step, sparsity in session.log],
            "records": [
                {
                    "step": entry.step,
                    "sparsity": entry.sparsity,
                    "metrics": {name: _finite(value) for name, value in entry.metrics.items()},
                }
                for entry in session.history
            ],
        },
    )


def _first(session: Session, names: Sequence[str]) -> str:
    updates = f"Masks were computed {_times(len(session.log))}"
    if not names:
        return f"{updates}. No metric was recorded: Pruning.record(accuracy=...) puts it here."
    return f"{updates}; {', '.join(names)} recorded {_times(len(session.history))}."


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None


def _entries(session: Session) -> list[tuple[int, float, Record | None]]:
    """Return masks and records in the order of time; at one step masks come first."""
    merged: list[tuple[int, int, float, Record | None]] = [
        (step, 0, sparsity, None) for step, sparsity in session.log
    ]
    merged += [(entry.step, 1, entry.sparsity, entry) for entry in session.history]
    merged.sort(key=lambda entry: entry[:2])
    return [(step, sparsity, entry) for step, _, sparsity, entry in merged]


def _table(session: Session, names: Sequence[str]) -> Any:
    entries = _entries(session)
    caption = "What happened when."
    if len(entries) > LISTED:
        places = np.unique(np.linspace(0, len(entries) - 1, LISTED).round().astype(int))
        caption = f"{len(places):,} of {len(entries):,} entries; all are in the JSON beside this page."
        entries = [entries[place] for place in places]
    columns: dict[str, list[Cell | None]] = {
        session.clock.split()[-1].rstrip("s"): [f"{step:,}" for step, _, _ in entries],
        "sparsity": [Bar(sparsity, f"{sparsity:.4f}") for _, sparsity, _ in entries],
    }
    for name in names:
        columns[f"{name} " if name in columns else name] = [
            None if entry is None or name not in entry.metrics else f"{entry.metrics[name]:.4g}"
            for _, _, entry in entries
        ]
    return table_of(caption, columns, ())


def _figure(session: Session, names: Sequence[str]) -> Figure:
    entries = _entries(session)

    def paint(figure: Any) -> None:
        *panels, last = figure.subplots(1 + len(names), 1, sharex=True, squeeze=False)[:, 0]
        _paint_sparsity(last, session, entries)
        for index, (panel, name) in enumerate(zip(panels, names, strict=True)):
            _paint_metric(panel, name, session.history, colour(index + 1))

    shown = " and ".join(["sparsity", *names])
    label = f"{shown} over {session.clock}; sparsity ends at {short(entries[-1][1])}"
    size = (4.6, 1.7 + 1.5 * len(names))
    return Figure(markup=draw("history", label, size, paint), caption=f"{label[0].upper()}{label[1:]}.")


def _paint_sparsity(axes: Any, session: Session, entries: Sequence[tuple[int, float, Record | None]]) -> None:
    clean(axes)
    steps = [*(step for step, _, _ in entries), session.time]
    values = [sparsity for _, sparsity, _ in entries]
    values.append(values[-1])
    axes.step(steps, values, where="post", color=KEPT, linewidth=1.6)
    axes.set_xlim(min(0, *steps), max(1, *steps))
    axes.set_ylim(0, 1)
    axes.set_xlabel(session.clock)
    axes.set_ylabel("sparsity")


def _paint_metric(axes: Any, name: str, history: Sequence[Record], line: str) -> None:
    clean(axes)
    told = [(entry.step, entry.metrics[name]) for entry in history if name in entry.metrics]
    steps = [step for step, _ in told]
    axes.plot(steps, [value for _, value in told], color=line, linewidth=1.6, marker="o", markersize=2.5)
    axes.set_ylabel(name if len(name) < 20 else f"{name[:18]}...")
