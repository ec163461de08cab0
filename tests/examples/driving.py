"""Running an example as a user does, and reading the table it prints."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen

import pruners

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@frozen
class Run:
    """What one example did."""

    model: Any
    rows: dict[str, list[str]]
    """The printed table: the first cell of a row -> the others."""
    attached: dict[str, np.ndarray]
    """Where weights were kept when the session began."""

    def values(self, name: str) -> np.ndarray:
        """Return one parameter of the model as NumPy."""
        layer, _, kind = name.partition(".")
        parameter = getattr(getattr(self.model, layer), kind)
        found = parameter.data().asnumpy() if callable(parameter.data) else parameter.detach().numpy()
        return np.array(found)

    def accuracy(self, name: str) -> float:
        """Return an accuracy in the table, 0 to 1."""
        return float(self.rows[f"accuracy {name}"][-1].rstrip("%")) / 100


def run(script: str, arguments: list[str], monkeypatch: Any, capsys: Any) -> Run:
    """Run an example with arguments of the command line."""
    attached: dict[str, np.ndarray] = {}
    attach = pruners.attach

    def watched(model: Any, *arguments: Any, **options: Any) -> Any:
        session = attach(model, *arguments, **options)
        attached.update({name: _array(mask) for name, mask in session.masks.items()})
        return session

    with monkeypatch.context() as patch:
        patch.setattr(pruners, "attach", watched)
        patch.setattr(sys, "path", [str(EXAMPLES), *sys.path])
        patch.setattr(sys, "argv", [script, *arguments])
        model = runpy.run_path(str(EXAMPLES / script))["main"]()
    sys.modules.pop("mnist", None)
    return Run(model, table(capsys.readouterr().out), attached)


def _array(mask: Any) -> np.ndarray:
    return np.array(mask.asnumpy() if type(mask).__module__.startswith("mxnet") else mask.numpy()) != 0


def table(printed: str) -> dict[str, list[str]]:
    """Return the rows of a drawn table by their first cell."""
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines() if "│" in line]
    return {row[0]: row[1:] for row in rows}
