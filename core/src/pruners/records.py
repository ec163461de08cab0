"""What users measure while a session runs: metrics at its time, checked before they are believed."""

from __future__ import annotations

from collections.abc import Mapping
from reprlib import repr as shortened
from typing import Any, Protocol, SupportsFloat, runtime_checkable

from attrs import frozen

from .errors import OptionError


@frozen
class Record:
    """One entry of a session's history: what was measured at `step`, and how sparse the model was then."""

    step: int
    """Optimizer steps (or the epoch) the session had reached."""
    sparsity: float
    """Zeros over all listed weights, 0 to 1."""
    metrics: Mapping[str, float]
    """What was measured, by the names it was given; a metric that diverged is NaN or infinite here."""

    def to_json(self) -> list[Any]:
        """Return the entry as plain JSON values; JSON has no NaN, so numbers are text where they are none."""
        return [self.step, self.sparsity, {name: _plain(value) for name, value in self.metrics.items()}]

    @classmethod
    def from_json(cls, entry: Any) -> Record:
        """Return the entry that `to_json` wrote."""
        step, sparsity, metrics = entry
        return cls(int(step), float(sparsity), {str(name): float(value) for name, value in metrics.items()})


def checked(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return metrics as floats; raise `OptionError` where there are none or one is not a number."""
    if not metrics:
        raise OptionError("record takes at least one number by its name, for example accuracy=0.98")
    return {name: _number(name, value) for name, value in metrics.items()}


@runtime_checkable
class _Holder(Protocol):
    """An array that gives its one element."""

    def item(self) -> Any: ...


def _number(name: str, value: Any) -> float:
    try:
        number = value.item() if isinstance(value, _Holder) else value
        if isinstance(number, SupportsFloat) and not isinstance(number, bool):
            return float(number)
    except (TypeError, ValueError, RuntimeError):  # frameworks refuse arrays of several in their own ways
        pass
    raise OptionError(f"record: {name} must be one number, got {shortened(value)}")


def _plain(value: float) -> float | str:
    return value if value - value == 0 else repr(value)
