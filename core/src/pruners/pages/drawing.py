"""Figures as SVG inside a page: in its colours, its letters, and under ids of their own."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from html import escape
from typing import Any

import numpy as np

from ..errors import PrunersError
from ..plots import INK, PALE

COLOURS = ("#0f766e", "#c2410c", "#3b6fb6", "#8b5fbf", "#a16207", "#b83280", "#4d7c0f", "#64748b")
"""Of lines; the page has a lighter one of each for the dark, under ``--c0``, ``--c1``, ..."""
KEPT, PRUNED = COLOURS[0], COLOURS[1]
MASK = (15, 140, 130)
"""Red, green, blue of kept weights in pictures; seen on white and on black."""

_VARIABLES = {INK: "var(--ink)", PALE: "var(--line)"} | {
    colour: f"var(--c{index})" for index, colour in enumerate(COLOURS)
}
_SETTINGS: Any = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "pruners",
    "text.parse_math": False,  # a name may have dollar signs
    "axes.formatter.useoffset": False,
    "font.size": 9.5,
}
_NO_METADATA: Any = dict.fromkeys(("Creator", "Date", "Format", "Type"))
_UNSIGNED: Any = {"Software": None}


def check_libraries() -> None:
    """Raise `PrunersError` unless what pages are made with is installed."""
    try:
        import jinja2  # noqa: F401
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise PrunersError(f"a page needs {error.name}: pip install pruners[report]") from error


def colour(index: int) -> str:
    """Return the colour of line number `index`; they come again after eight."""
    return COLOURS[index % len(COLOURS)]


def draw(key: str, label: str, size: tuple[float, float], paint: Callable[[Any], None]) -> str:
    """
    Return a figure as SVG that can stand in a page.

    Parameters
    ----------
    key : str
        What begins every id in it; no two figures of a page have the same.
    label : str
        What is to be seen, for those who do not see it.
    size : (width, height)
        In inches; a page never shows it larger.
    paint : function
        ``paint(figure)`` draws on an empty matplotlib figure.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=size, layout="constrained", facecolor="none")
        paint(figure)
        for axes in figure.axes:
            axes.set_facecolor("none")
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata=_NO_METADATA)
    return _inline(out.getvalue(), key, label, round(96 * size[0]))


def _inline(text: str, key: str, label: str, width: int) -> str:
    """Make a whole SVG file a part of a page."""
    start = text.index("<svg")
    opening, body = text[start:].split(">", 1)
    view = re.search(r'viewBox="([-0-9. ]+)"', opening)
    frame = view[1] if view else f"0 0 {width} {width}"
    body = re.sub(r"<style.*?</style>|<metadata.*?</metadata>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r'(?<= id=")', f"{key}-", body)
    body = re.sub(r'xlink:href="#', f'href="#{key}-', body)
    body = body.replace("url(#", f"url(#{key}-")
    for plain, variable in _VARIABLES.items():
        body = body.replace(plain, variable)
    body = re.sub(r"\n\s*", "\n", body).strip()
    return (
        f'<svg role="img" aria-label="{escape(label)}" viewBox="{frame}" style="width: {width}px">'
        f"<title>{escape(label)}</title>{body}"
    )


def picture(shares: np.ndarray, label: str, cell: tuple[int, int]) -> str:
    """
    Return a picture of fractions 0 to 1, ``(rows, columns)``, each a cell of so many screen pixels.

    Stronger is more; nothing is drawn where the fraction is 0.
    """
    from matplotlib.image import imsave

    levels = np.ceil(shares * 15) * 17  # sixteen of them; what is not empty is seen
    pixels = np.empty((*shares.shape, 4), np.uint8)
    pixels[..., :3] = MASK
    pixels[..., 3] = levels.astype(np.uint8)
    out = io.BytesIO()
    imsave(out, pixels, format="png", metadata=_UNSIGNED, pil_kwargs={"optimize": True})
    rows, columns = shares.shape
    return (
        f'<div class="scroll"><img class="cells" alt="{escape(label)}" '
        f'width="{columns * cell[0]}" height="{rows * cell[1]}" '
        f'src="data:image/png;base64,{base64.b64encode(out.getvalue()).decode("ascii")}"></div>'
    )
