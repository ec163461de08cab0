"""Tables as plain text; loads no array library."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.console import Console, RenderableType


def as_text(table: RenderableType, lines: Sequence[str] = ()) -> str:
    """Render a table as plain text, wide enough that nothing is cut, with lines under it."""
    width = Console(width=10_000).measure(table).maximum
    out = io.StringIO()
    Console(file=out, width=max(40, width), color_system=None, legacy_windows=False).print(table)
    drawn = [line.rstrip() for line in out.getvalue().splitlines()]
    return "\n".join([*drawn, *lines]).strip("\n")
