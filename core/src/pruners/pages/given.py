"""What a page is made from: a model or session, and what else was measured, checked on the way in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import numpy as np
from attrs import frozen

from ..errors import OptionError, RuleError, StateError
from ..opening import open_model
from ..protocols import OpenModel
from ..records import Record
from ..removals import Removal
from ..reports import Report, session_report
from ..rules import Rule, assign
from ..session import Pruning
from ..states import State

CHOSEN = 6
"""So many layers are looked at closely where nobody chose any."""
MOST = 24
"""So many at most, whoever chose them."""

Values = Mapping[str, Any]


@runtime_checkable
class Told(Protocol):
    """A result that can say all it has as plain values."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        ...


@frozen(eq=False)
class Session:
    """What is known of how a model was pruned."""

    time: int
    masks: Mapping[str, np.ndarray]
    """True where kept, ``(out, in, *kernel)``."""
    log: tuple[tuple[int, float], ...]
    history: tuple[Record, ...]
    clock: str
    """What time counts: "optimizer steps" or "epochs"."""


@frozen(eq=False, kw_only=True)
class Given:
    """Everything a page may show."""

    opened: OpenModel
    report: Report
    session: Session | None
    dense: OpenModel | None
    dense_report: Report | None
    removal: Values | None
    measurement: Values | None
    exported: Sequence[Values]
    sensitivities: Values | None
    scores: Mapping[str, np.ndarray]
    chosen: tuple[str, ...]
    """Layers to look at closely, in the model's order."""
    found: int
    """How many there were to choose from."""

    def mask(self, name: str) -> np.ndarray:
        """Return a layer's mask, or where its values are not zero."""
        if self.session is not None and name in self.session.masks:
            return self.session.masks[name]
        return np.asarray(self.opened.read(name) != 0)


def gather(
    model: Any,
    *,
    session: Values | None,
    dense: Any,
    removal: Any,
    measurement: Any,
    exported: Any,
    sensitivities: Any,
    scores: Mapping[str, Any] | None,
    layers: Sequence[str] | str | None,
) -> Given:
    """Open the models, count, and choose layers; nothing is drawn yet."""
    known: Session | None
    if isinstance(model, Pruning):
        if session is not None:
            raise OptionError("session= is for a model and its saved state; this is a session already")
        opened, known, report = model.opened, _running(model), model.report()
    else:
        opened = open_model(model)
        known = None if session is None else _saved(session, opened)
        report = session_report(opened, {} if known is None else known.masks, {})
    before = None if dense is None else _before(dense, opened)
    chosen, found = _choose(opened, report, layers)
    return Given(
        opened=opened,
        report=report,
        session=known,
        dense=before,
        dense_report=None if before is None else session_report(before, {}, {}),
        removal=_values("removal", removal.report() if isinstance(removal, Removal) else removal),
        measurement=_values("measurement", measurement),
        exported=_several("exported", exported),
        sensitivities=_values("sensitivities", sensitivities),
        scores={name: np.asarray(opened.host(array)) for name, array in (scores or {}).items()},
        chosen=chosen,
        found=found,
    )


def _before(dense: Any, opened: OpenModel) -> OpenModel:
    before = open_model(dense)
    if not before.layers.keys() & opened.layers.keys():
        raise OptionError(
            f"dense: none of its layers ({', '.join(list(before.layers)[:3])}, ...) is in the model "
            f"({', '.join(list(opened.layers)[:3])}, ...); give the network as it was before pruning"
        )
    return before


@contextmanager
def reading(what: str, origin: str) -> Iterator[None]:
    """Turn what goes wrong with values of another shape into one error that names them."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        if isinstance(error, (OptionError, StateError)):
            raise
        trouble = f"it lacks {error}" if isinstance(error, KeyError) else f"{error}"
        raise OptionError(f"{what}: not what {origin} returns: {trouble}") from error


def _values(what: str, given: Any) -> Values | None:
    if given is None or isinstance(given, Mapping):
        return given
    if isinstance(given, Told):
        return given.to_dict()
    raise OptionError(
        f"{what} must be a result of pruners or the dict of its to_dict(), got {type(given).__name__}"
    )


def _several(what: str, given: Any) -> list[Values]:
    """Return the values of one result, or of each of several."""
    listed = given if isinstance(given, (list, tuple)) else [given]
    return [values for each in listed if (values := _values(what, each)) is not None]


def _running(pruning: Pruning) -> Session:
    clock = pruning.clock
    log = tuple((update.step, update.sparsity) for update in pruning.log)
    return Session(pruning.time, pruning.host_masks, log, pruning.history, _unit(clock))


def _saved(state: Values, opened: OpenModel) -> Session:
    saved = State.from_json(state)
    for name, mask in saved.masks.items():
        layer = opened.layers.get(name)
        if layer is None:
            raise StateError(f"session: it prunes layer {name!r}, which the model lacks")
        if tuple(layer.shape) != mask.shape:
            raise StateError(
                f"session: layer {name!r} has shape {mask.shape} there and {tuple(layer.shape)} in the model"
            )
    return Session(saved.time, saved.masks, saved.log, saved.history, _unit(saved.clock))


def _unit(clock: str | None) -> str:
    return "epochs" if clock == "epoch" else "optimizer steps"


def _choose(
    opened: OpenModel, report: Report, layers: Sequence[str] | str | None
) -> tuple[tuple[str, ...], int]:
    """Return layers evenly spread over the depth of the model: of the given ones, or of those with zeros."""
    if layers is None:
        names = [row.name for row in report.rows if row.zeros or row.masked]
        most = CHOSEN
    else:
        wanted = Rule(layers if isinstance(layers, str) else tuple(layers))
        try:
            (names,) = assign([wanted], opened.layers)
        except RuleError as error:
            raise OptionError(f"layers: {error}") from error
        most = MOST
    if len(names) <= most:
        return tuple(names), len(names)
    places = np.linspace(0, len(names) - 1, most).round().astype(int)
    return tuple(names[place] for place in places), len(names)
