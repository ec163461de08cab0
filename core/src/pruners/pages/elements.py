"""What a page is made of: sections of sentences, figures and tables, before anything is HTML."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen


@frozen
class Name:
    """A cell that names a line of a figure, in that line's colour."""

    text: str
    colour: int
    """Which of `drawing.COLOURS`."""


@frozen
class Bar:
    """A cell with a number and a bar as long as it says."""

    fraction: float
    """Length of the bar, 0 to 1."""
    text: str


Cell = str | Name | Bar


@frozen(kw_only=True)
class Table:
    """Numbers in rows; a long one scrolls in its box."""

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    words: Collection[int] = frozenset({0})
    """Columns of words; all others are numbers, to the right."""


@frozen(kw_only=True)
class Figure:
    """Markup that this package made, with its caption; nothing of a user's is in it unescaped."""

    markup: str
    caption: str


@frozen(kw_only=True)
class Block:
    """Figures and the table that has their numbers."""

    title: str = ""
    figures: Sequence[Figure] = ()
    table: Table | None = None


@frozen(kw_only=True)
class Section:
    """One part of a page, and its numbers as plain JSON values."""

    name: str
    title: str
    lines: Sequence[str]
    """What the numbers mean, in sentences."""
    key: Sequence[Name] = ()
    """What the colours of its figures stand for."""
    blocks: Sequence[Block]
    data: Mapping[str, Any]


def table_of(caption: str, columns: Mapping[str, Sequence[Cell | None]], words: Iterable[str]) -> Table:
    """Return a table of columns, without those that are empty throughout."""
    shown = {heading: cells for heading, cells in columns.items() if any(cell is not None for cell in cells)}
    wordy = set(words)
    return Table(
        caption=caption,
        headings=tuple(shown),
        rows=[["" if cell is None else cell for cell in row] for row in zip(*shown.values(), strict=True)],
        words=frozenset(index for index, heading in enumerate(shown) if heading in wordy),
    )


def count(value: int | None) -> str | None:
    """Return a whole number for people, or None where there is none."""
    return None if value is None else f"{value:,}"


def short(value: float | None, digits: int = 4) -> str | None:
    """Return a number in so many digits, or None where there is none."""
    return None if value is None else f"{value:.{digits}g}"
