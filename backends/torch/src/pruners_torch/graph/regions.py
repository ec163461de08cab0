"""Parts of a graph that run under other rules for automatic casts, as two calls in a flat graph."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_entered = threading.local()


def enter_autocast(
    device: str, dtype: torch.dtype | None, enabled: bool, cache: bool | None
) -> torch.autocast:
    """Begin a region; the result ends it."""
    region = torch.autocast(device, dtype, enabled, cache)
    region.__enter__()  # type: ignore[no-untyped-call]
    _open().append(region)
    return region


def leave_autocast(region: torch.autocast) -> None:
    """End a region."""
    _open().remove(region)
    region.__exit__(None, None, None)


@contextmanager
def closing_regions() -> Iterator[None]:
    """Run a graph; regions that an error left open are ended."""
    before = len(_open())
    try:
        yield
    finally:
        while len(_open()) > before:
            _open().pop().__exit__(None, None, None)


def _open() -> list[torch.autocast]:
    regions: list[torch.autocast] = vars(_entered).setdefault("regions", [])
    return regions
