"""Interrupts from the keyboard wait until a model is whole.

Work that changes a model runs inside `shielded`. An interrupt that comes meanwhile is held back and
raised at the next place where it does no harm: a `checkpoint`, user code inside
`open_to_interrupts`, or the end. What stands in ``finally`` and ``except`` around those places is
not interrupted itself.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from attrs import define

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Item = TypeVar("Item")


@define(eq=False)
class _Shield:
    """What holds an interrupt back, in the main thread; Python gives it to no other."""

    handler: Callable[[int, Any], Any]
    """Whose turn it is once an interrupt may pass."""
    open: bool = False
    held: int = 0

    def take(self, number: int, frame: Any) -> None:
        """Handle the signal; who sends the third has no time to wait."""
        self.held += 1
        if self.open or self.held == _IMPATIENT:
            self.release()

    def release(self) -> None:
        """Let an interrupt that was held back pass now."""
        if self.held:
            self.held = 0
            self.handler(signal.SIGINT, None)


_IMPATIENT = 3
_shields: list[_Shield] = []


@contextmanager
def shielded() -> Iterator[None]:
    """Hold interrupts back to the next checkpoint, or to the end of the outermost of these contexts."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if _shields:
        with _passing(False):
            yield
        return
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler):  # the process ends at once, or never: nothing is raised
        yield
        return
    shield = _Shield(handler)
    try:
        _shields.append(shield)
        signal.signal(signal.SIGINT, shield.take)
        yield
    finally:
        _shields.clear()
        if signal.getsignal(signal.SIGINT) == shield.take:
            signal.signal(signal.SIGINT, handler)
        shield.release()


@contextmanager
def taken_back() -> Iterator[list[Callable[[], object]]]:
    """Run inside `shielded`; where an interrupt keeps the result from the caller, call what is listed."""
    undo: list[Callable[[], object]] = []
    try:
        with shielded():
            yield undo
    except KeyboardInterrupt:
        with shielded():
            for each in reversed(undo):
                each()
        raise


def whole(work: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Return a function that runs inside `shielded`."""

    @wraps(work)
    def run(*arguments: Arguments.args, **options: Arguments.kwargs) -> Result:
        with shielded():
            return work(*arguments, **options)

    return run


@contextmanager
def open_to_interrupts() -> Iterator[None]:
    """Let interrupts pass while user code runs."""
    with _passing(True):
        yield


def checkpoint() -> None:
    """Raise an interrupt that was held back, here."""
    if _mine():
        _shields[0].release()


def interruptible(items: Iterable[Item]) -> Iterator[Item]:
    """Yield the same items, which may be long in coming: interrupts pass meanwhile."""
    with open_to_interrupts():
        iterator = iter(items)
    while True:
        with open_to_interrupts():
            try:
                item = next(iterator)
            except StopIteration:
                return
        yield item


@contextmanager
def _passing(open_: bool) -> Iterator[None]:
    if not _mine():
        yield
        return
    shield = _shields[0]
    before = shield.open
    shield.open = open_
    try:
        if open_:
            shield.release()
        yield
    finally:
        shield.open = before
        if before:
            shield.release()


def _mine() -> bool:
    """Return whether there is a shield, and this is the thread that it is for."""
    return bool(_shields) and threading.current_thread() is threading.main_thread()
