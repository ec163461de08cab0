"""What came of one network, as plain numbers, and the file of JSON lines that collects them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import asdict, field, frozen

REDUCTION = 0.4
"""Fraction of the parameters that half of the channels must take with them."""
FORWARDS_ANALYSIS = 3.0
FORWARDS_REMOVAL = 2.0
SECONDS = 30.0


@frozen
class Result:
    """One removal from one network."""

    name: str
    family: str
    form: str
    image: str = ""
    """Height and width of the example images: ``"224x224"``."""
    refused: str = ""
    """The error that `pruners.remove` raised, or what went wrong around it; empty: it went through."""
    broken: bool = False
    """Whether the error is none that the library explains."""
    dtype: str = ""
    """What the masked original and the smaller model were compared in."""
    error: float = float("inf")
    """Largest difference of the outputs, relative, by this zoo's own reference."""
    heads_error: float = 0.0
    """The same for the modules whose outputs are compared, too."""
    exact: bool = False
    moved: float = 0.0
    """How far the masked original is from the original: near zero, the comparison would prove nothing."""
    proof_error: float = float("inf")
    proof_dtype: str = ""
    trains: str = ""
    """How a training step of the smaller model went: "yes", "" (the original cannot either), the error."""
    groups: int = 0
    units: int = 0
    left: int = 0
    """Units that were removed."""
    parameters: tuple[int, int] = (0, 0)
    macs: tuple[int, int] = (0, 0)
    whole: Mapping[str, str] = field(factory=dict)
    restored: Mapping[str, str] = field(factory=dict)
    """Groups that got channels back, and why."""
    unruled: tuple[str, ...] = ()
    forward: float = 0.0
    """Seconds of one forward pass of the original, the median of three."""
    seconds: Mapping[str, float] = field(factory=dict)
    memory: int = 0
    """Most memory the process had, in bytes."""

    @property
    def reduction(self) -> float:
        """Fraction of the parameters that is gone, 0 to 1."""
        before, after = self.parameters
        return 1 - after / before if before else 0.0

    @property
    def macs_reduction(self) -> float:
        """Fraction of the multiply-accumulates that is gone, 0 to 1."""
        before, after = self.macs
        return 1 - after / before if before else 0.0

    @property
    def good(self) -> bool:
        """Whether the removal was exact, large enough, and left something that trains."""
        return not self.refused and self.exact and self.reduction >= REDUCTION and self.trains in ("", "yes")

    @property
    def verdict(self) -> str:
        """What is missing, in a few words; "exact" where nothing is."""
        if self.refused:
            return f"{'broke' if self.broken else 'refused'}: {self.refused}"
        if not self.exact:
            return f"differs by {max(self.error, self.heads_error):.1e}"
        if self.trains not in ("", "yes"):
            return f"does not train: {self.trains}"
        return (
            "exact"
            if self.reduction >= REDUCTION
            else f"exact, but only {self.reduction:.0%} fewer parameters"
        )


def read(path: Path) -> dict[tuple[str, str], Result]:
    """Return the latest result of every (name, form) in a file; nothing where there is none."""
    return {(each.name, each.form): each for each in _lines(path)}


def _lines(path: Path) -> Iterator[Result]:
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            yield from_line(line)


def from_line(line: str) -> Result:
    """Return the result that `to_json` wrote."""
    written: dict[str, Any] = json.loads(line)
    pairs = {key: tuple(written[key]) for key in ("parameters", "macs", "unruled")}
    return Result(**{**written, **pairs})


def to_json(result: Result) -> str:
    """Return a result as one line."""
    return json.dumps(asdict(result))


def add(path: Path, result: Result) -> None:
    """Append a result to a file, making its folder where needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(to_json(result) + "\n")


def best(results: Mapping[tuple[str, str], Result]) -> dict[str, Result]:
    """Return for every network the form that counts: a good one, in place first, or else the nearest."""
    chosen: dict[str, Result] = {}
    for (name, _), result in sorted(results.items(), key=lambda pair: pair[0][1] == "graph"):
        old = chosen.get(name)
        if old is None or (_rank(result) > _rank(old)):
            chosen[name] = result
    return chosen


def _rank(result: Result) -> tuple[bool, bool, float]:
    sound = not result.refused and result.exact
    return result.good, sound, 0.0 if result.good else result.reduction if sound else -1.0
