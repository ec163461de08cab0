"""Seconds by stage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from attrs import field, frozen

from .progress import steps


@frozen(eq=False)
class Stages:
    """A clock that adds up the seconds of named stages."""

    seconds: dict[str, float] = field(factory=dict)

    @contextmanager
    def timing(self, stage: str) -> Iterator[None]:
        """Add the seconds of a block of code to a stage."""
        start = perf_counter()
        try:
            with steps(stage):
                yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + perf_counter() - start

    def move(self, seconds: float, source: str, target: str) -> None:
        """Count seconds to another stage than the one they were measured in."""
        self.seconds[source] = self.seconds.get(source, 0.0) - seconds
        self.seconds[target] = self.seconds.get(target, 0.0) + seconds
