"""What a removal did: the smaller model, the proof, and what was kept whole and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import asdict, field, frozen
from rich import box
from rich.table import Table

from .measuring.latency import Latency
from .structure.plan import Proof, RemovalPlan
from .tables import as_text


@frozen
class GroupRow:
    """One group: channels that are decided together."""

    layer: str
    """The first layer whose output channels these are."""
    layers: tuple[str, ...]
    """Every layer whose output channels these are."""
    units: int
    kept: int
    parameters: int = 0
    """Parameters that leave with this group alone; groups overlap, so these do not add up to the total."""
    macs: int = 0
    """MACs of one forward pass saved by this group alone."""
    restored: str = ""
    """Why channels came back after the choice; empty if none did."""


@frozen
class Before:
    """One quantity before and after."""

    before: int
    after: int

    @property
    def reduction(self) -> float:
        """Fraction that is gone, 0 to 1."""
        return 1 - self.after / self.before if self.before else 0.0


@frozen(eq=False)
class Removal:
    """A finished removal: `model` is the smaller model; printing the report tells the rest."""

    model: Any
    plan: RemovalPlan
    proof: Proof
    groups: tuple[GroupRow, ...]
    whole: Mapping[str, str]
    """``{layer: why its output channels all stay}``."""
    parameters: Before
    macs: Before
    form: str
    pruner: str
    unruled: tuple[str, ...] = ()
    """Operations without a rule, whose inputs are kept whole."""
    latency: tuple[Latency, Latency] | None = None
    """Of the dense and of the smaller model; None where it was not measured."""
    seconds: Mapping[str, float] = field(factory=dict)
    """Spent on "analysis", "scores", "planning", "removal" and "proof"."""

    def report(self) -> RemovalReport:
        """Return the report; printing it gives a table."""
        return RemovalReport(self)

    @property
    def speed(self) -> str:
        """What the measured latency means, in one sentence."""
        if self.latency is None:
            return "Latency was not measured: pass measure=10 to time both models."
        dense, small = self.latency
        gain = dense.gain(small)
        if gain > 0:
            return f"{1 + gain:.2f} times as fast here: {dense} before, {small} after."
        if untold := dense.untold(small):
            return f"Whether it is faster cannot be told: {untold}: {dense} before, {small} after."
        slower = "slower, " if gain < 0 else ""
        return f"No faster here: {slower}{dense} before, {small} after."

    @property
    def proved(self) -> str:
        """What the proof found, in one sentence."""
        proof = self.proof
        return (
            f"Proved: {proof.outputs:,} outputs in {proof.dtype} differ by at most {proof.error:.1e} "
            f"(tolerance {proof.tolerance:.0e}) from the masked model's."
        )


@frozen(eq=False)
class RemovalReport:
    """A removal in a table: per group and in total, and what was kept whole."""

    removal: Removal

    def __str__(self) -> str:
        removal = self.removal
        table = Table(box=box.SIMPLE_HEAD)
        for heading in ("channels of", "layers", "before", "after", "parameters", "MACs", "kept because"):
            table.add_column(
                heading, justify="left" if heading in ("channels of", "kept because") else "right"
            )
        for row in removal.groups:
            numbers = (
                str(len(row.layers)),
                str(row.units),
                str(row.kept),
                _less(row.parameters),
                _less(row.macs),
            )
            table.add_row(row.layer, *numbers, row.restored)
        for layer, reason in removal.whole.items():
            table.add_row(layer, "", "all", "all", "", "", reason)
        return as_text(table, ["", *self._lines()])

    def _lines(self) -> list[str]:
        removal, proof = self.removal, self.removal.proof
        lines = [
            _fell("Parameters", removal.parameters),
            _fell("MACs", removal.macs),
            removal.speed,
            removal.proved,
        ]
        if proof.normalised:
            lines.append(
                "The masked model normalises over the kept features only in: " + ", ".join(proof.normalised)
            )
        if removal.unruled:
            lines.append("Kept whole around operations without a rule: " + ", ".join(removal.unruled))
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON types."""
        removal = self.removal
        return {
            "pruner": removal.pruner,
            "form": removal.form,
            "groups": [asdict(row) for row in removal.groups],
            "whole": dict(removal.whole),
            "parameters": asdict(removal.parameters),
            "macs": asdict(removal.macs),
            "proof": asdict(removal.proof),
            "unruled": list(removal.unruled),
            "latency": None if removal.latency is None else [asdict(each) for each in removal.latency],
            "seconds": dict(removal.seconds),
        }


def _less(saved: int) -> str:
    return f"-{saved:,}" if saved else "0"


def _fell(name: str, quantity: Before) -> str:
    return f"{name}: {quantity.before:,} before, {quantity.after:,} after (-{quantity.reduction:.1%})."
