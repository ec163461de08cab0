"""How far long work is: said by whoever does it, shown on the error stream where somebody asked."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define, frozen

from .interrupts import checkpoint, interruptible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

Item = TypeVar("Item")


@contextmanager
def show_progress(console: Console | None = None) -> Iterator[None]:
    """
    Show how far long work is, while this context lasts; without it nothing is ever shown.

    Parameters
    ----------
    console : rich.console.Console, optional
        Where to show it; the error stream when left out, where that is a terminal or a notebook.

    Yields
    ------
    None
        Meanwhile each piece of long work under way has a line, which goes away when the work ends.

    Notes
    -----
    Shown in the thread that asked. The command line does this on a terminal.

    Examples
    --------
    >>> import numpy as np, pruners
    >>> with pruners.show_progress():
    ...     found = pruners.sensitivity({"w": np.ones((4, 4))}, lambda model: 1.0)
    """
    if _shown.get() is not None:
        yield
        return
    token = _shown.set(_Display(console))
    try:
        yield
    finally:
        _shown.reset(token)


@contextmanager
def steps(what: str, total: int | None = None) -> Iterator[Callable[..., None]]:
    """
    Say that work of `total` steps, or of nobody knows how many, is under way; for library code.

    Yields a function to call after each step, or with a number after several: ``done()``, ``done(8)``.
    That is also where an interrupt may pass that was held back.
    """
    display = _shown.get()
    if display is None:
        yield _unseen
        return
    with display.row(what, total) as done:
        yield done


@frozen(eq=False)
class Counted(Iterable[Item]):
    """The same items, counted as steps each time they are gone through; for library code."""

    items: Iterable[Item]
    what: str

    def __iter__(self) -> Iterator[Item]:
        with steps(self.what, _length(self.items)) as done:
            for item in interruptible(self.items):
                yield item
                done()


def _length(items: Iterable[Any]) -> int | None:
    """Return how many items there are, where that is wanted and known."""
    if _shown.get() is None:
        return None
    try:
        return len(items)  # type: ignore[arg-type]
    except (TypeError, NotImplementedError):  # a loader of a stream has the method, and no length
        return None


def _unseen(_: int = 1) -> None:
    """Count for nobody."""
    checkpoint()


@define(eq=False)
class _Display:
    """Rows on a console, which is made and drawn on only while there is a row."""

    console: Console | None
    _bars: Progress | None = None

    @contextmanager
    def row(self, what: str, total: int | None) -> Iterator[Callable[..., None]]:
        """Show one row."""
        bars = self._started()
        if bars is None:
            yield _unseen
            return
        task: TaskID = bars.add_task(what, total=total)
        try:
            yield partial(self._advance, task)
        finally:
            bars.refresh()
            bars.remove_task(task)
            if not bars.task_ids:
                bars.stop()
                self._bars = None

    def _advance(self, task: TaskID, count: int = 1) -> None:
        if self._bars is not None:
            self._bars.advance(task, count)
        checkpoint()

    def _started(self) -> Progress | None:
        if self._bars is None:
            console = self._shown_on()
            if console is None:
                return None
            self._bars = _bars(console)
            self._bars.start()
        return self._bars

    def _shown_on(self) -> Console | None:
        from rich.console import Console

        if self.console is None:
            self.console = Console(stderr=True)
        return self.console if self.console.is_terminal or self.console.is_jupyter else None


_shown: ContextVar[_Display | None] = ContextVar("pruners_progress", default=None)


def _bars(console: Console) -> Progress:
    """Return bars that leave nothing behind; what others print to the same terminal goes above them."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns: tuple[Any, ...] = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    together = bool(sys.stdout and sys.stdout.isatty())
    return Progress(*columns, console=console, transient=True, redirect_stdout=together)
