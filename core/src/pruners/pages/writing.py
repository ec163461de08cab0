"""The page itself: sections put together, written as HTML and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from ..errors import OptionError
from . import channels, drawing, histograms, history, layers, masks, sensitivity, summary
from . import exported as exports
from .elements import Section
from .given import Given, gather

if TYPE_CHECKING:
    from ..exports import Exported
    from ..measuring.results import Measurement
    from ..removals import Removal
    from ..sensitivities import Sensitivities

FORMAT = 1
"""Of the JSON; goes up when something in it changes its meaning or goes away."""
SUFFIXES = (".html", ".htm")
MORE = {
    "history": ("accuracy and sparsity over time", history),
    "channels": ("channels kept", channels),
    "layers": ("sparsity of each layer", layers),
    "exported": ("exported files", exports),
    "masks": ("masks", masks),
    "scores": ("scores and the cut", histograms),
    "sensitivity": ("sensitivity", sensitivity),
}
"""Sections after the summary, in their order: what each is called where it is missing, and its module."""


@frozen
class Missing:
    """A section that is not there, and how to get it."""

    name: str
    title: str
    how: str


def page(
    model: Any,
    path: str | Path,
    *,
    session: Mapping[str, Any] | None = None,
    dense: Any = None,
    removal: Removal | Mapping[str, Any] | None = None,
    measurement: Measurement | Mapping[str, Any] | None = None,
    exported: Exported | Mapping[str, Any] | Sequence[Exported | Mapping[str, Any]] = (),
    sensitivities: Sensitivities | Mapping[str, Any] | None = None,
    scores: Mapping[str, Any] | None = None,
    layers: str | Sequence[str] | None = None,
    title: str = "Pruning report",
) -> None:
    """
    Write what pruning did as one HTML page that needs nothing else, and its numbers as JSON beside it.

    Parameters
    ----------
    model : object or Pruning
        A model of any installed backend, or a session, whose masks, log and history are then known.
    path : str or Path
        Ends in ``.html``; the JSON gets the same name with ``.json``. Files there are replaced.
    session : mapping, optional
        The ``state_dict`` of a session on `model`, where only that was kept.
    dense : object, optional
        The model before pruning: counted beside it, and the source of weights that are zero now.
    removal : Removal or mapping, optional
        What `pruners.remove` returned, or its ``report().to_dict()``.
    measurement : Measurement or mapping, optional
        What `pruners.measure` returned, or its ``to_dict()``.
    exported : Exported or mapping, or several, optional
        What `pruners.export` returned, or its ``to_dict()``.
    sensitivities : Sensitivities or mapping, optional
        What `pruners.sensitivity` returned, or its ``to_dict()``.
    scores : mapping of str to array, optional
        What `pruners.scores` returned, to draw with the cut: one per weight or per output of a layer.
    layers : str or sequence of str, optional
        Names or globs, as in `Rule`, of the layers whose masks and scores are drawn, 24 at most; six with
        zeros, spread over the model's depth, when left out.
    title : str, default "Pruning report"
        Heading of the page.

    Raises
    ------
    PrunersError
        If Jinja2 or matplotlib is not installed.
    OptionError
        If `path` is not the name of an HTML file in a folder that is there, or something given is not
        what it should be.
    NoBackend, StateError
        If the model or the session's state are not usable.

    Notes
    -----
    Data free, and the model is only read. Everything is made before anything is written. What is not
    given is left out, and the page says how to get it. The page runs no script and asks no server for
    anything.

    Examples
    --------
    >>> import numpy as np, pruners
    >>> model = {"w": np.arange(32.0).reshape(4, 8)}
    >>> pruning = pruners.attach(model, pruners.Rule(sparsity=0.5))
    >>> pruners.page(pruning, "report.html")  # doctest: +SKIP
    """
    target = check_path(path)
    drawing.check_libraries()
    given = gather(
        model,
        session=session,
        dense=dense,
        removal=removal,
        measurement=measurement,
        exported=exported,
        sensitivities=sensitivities,
        scores=scores,
        layers=layers,
    )
    sections, missing = build(given)
    made = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    html = _html(title, made, sections, missing)
    values = json.dumps(_values(title, made, sections, missing), indent=1, allow_nan=False)
    target.write_text(html, encoding="utf-8")
    target.with_suffix(".json").write_text(values + "\n", encoding="utf-8")


def check_path(path: str | Path) -> Path:
    """Return where a page goes; raise `OptionError` unless it can be written there."""
    target = Path(path)
    if target.suffix.lower() not in SUFFIXES:
        raise OptionError(f"page {str(path)!r}: the name must end in .html")
    if not target.parent.is_dir():
        raise OptionError(f"page {str(path)!r}: there is no folder {str(target.parent)!r}")
    return target


def build(given: Given) -> tuple[list[Section], list[Missing]]:
    """Return the sections there is something to show in, and the others."""
    sections, missing = [summary.section(given)], []
    if given.measurement is None:
        missing.append(Missing("measurement", "files, latency and accuracy as measured", summary.HOW))
    for name, (title, module) in MORE.items():
        section = module.section(given)
        if section is None:
            missing.append(Missing(name, title, module.HOW))
        else:
            sections.append(section)
    return sections, missing


def _html(title: str, made: str, sections: list[Section], missing: list[Missing]) -> str:
    from jinja2 import Environment, StrictUndefined

    from .. import __version__

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["kind"] = lambda cell: type(cell).__name__
    environment.globals["colours"] = drawing.COLOURS
    template = environment.from_string(files(__package__).joinpath("page.html.jinja").read_text("utf-8"))
    return template.render(title=title, made=made, version=__version__, sections=sections, missing=missing)


def _values(title: str, made: str, sections: list[Section], missing: list[Missing]) -> dict[str, Any]:
    from .. import __version__

    return {
        "format": FORMAT,
        "pruners": __version__,
        "title": title,
        "made": made,
        "sections": {section.name: section.data for section in sections},
        "missing": {each.name: each.how for each in missing},
    }
