"""Ask a pruner for scores, safely: what comes back can be ranked, and the model is as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from attrs import frozen

from . import registry
from .errors import NeedsData, OptionError, PrunerFailed, PrunersError, ScoreError
from .host import Watched, is_float
from .protocols import Allocates, Loss, Magnitude, OpenModel, Ops, Prepares, Pruner, Stream
from .selection.ranking import Ranking


@frozen
class NamedPruner:
    """A pruner and the name to blame it by."""

    name: str
    pruner: Pruner
    needs: frozenset[str] = frozenset()


def as_pruner(pruner: str | Pruner) -> NamedPruner:
    """Return a pruner given by name or as an object, checked to be one."""
    if isinstance(pruner, str):
        made = registry.pruner(pruner)
        spec = registry.installed().find("pruner", pruner).spec
        named = NamedPruner(pruner, made, spec.needs)  # type: ignore[union-attr]
    else:
        named = NamedPruner(type(pruner).__name__, pruner)
    unit = getattr(named.pruner, "unit", None)
    if not callable(getattr(named.pruner, "scores", None)) or unit not in ("weight", "channel"):
        raise OptionError(
            f"pruner {named.name!r} must have unit = 'weight' or 'channel' and a method scores(view); "
            f"its unit is {unit!r}"
        )
    if unit == "channel":
        raise OptionError(
            f"pruner {named.name!r} scores whole channels; "
            "masks over weights need a pruner with unit 'weight'"
        )
    return named


@frozen(eq=False)
class WatchedView:
    """A backend's view whose weights remember which layer was read last."""

    weights: Mapping[str, Any]
    ops: Ops
    prepared: Mapping[str, float]
    activations: Callable[..., Stream]
    gradients: Callable[[], Mapping[str, Any]]


@frozen(eq=False)
class Scorer:
    """One pruner at work on some layers of one open model."""

    opened: OpenModel
    named: NamedPruner
    names: Sequence[str]
    data: Iterable[Any] | None = None
    loss: Loss | None = None
    prepared: Mapping[str, float] = {}

    def prepare(self) -> dict[str, float]:
        """Let the pruner measure what it measures once, before anything is pruned."""
        if not isinstance(self.named.pruner, Prepares):
            return {}
        with self._view() as view:
            return {str(name): float(value) for name, value in self.named.pruner.prepare(view).items()}

    def allocate(self, sparsity: float) -> dict[str, float] | None:
        """Return the pruner's own sparsity per layer, or None where it has no say in that."""
        if not isinstance(self.named.pruner, Allocates):
            return None
        with self._view() as view:
            shares = {
                str(name): float(each) for name, each in self.named.pruner.allocate(view, sparsity).items()
            }
        self._same_names(shares, "sparsities")
        return shares

    def rankings(self, alive: Mapping[str, np.ndarray] | None = None) -> dict[str, Ranking]:
        """Return the checked scores of every layer; units not `alive` rank before all others."""
        with self._view() as view:
            scores = self.named.pruner.scores(view)
        if not isinstance(scores, Mapping):
            raise ScoreError(f"{self._who} returned {type(scores).__name__}, not a mapping {{name: scores}}")
        self._same_names(scores, "scores")
        return {name: self._ranking(name, scores[name], (alive or {}).get(name)) for name in self.names}

    @property
    def _who(self) -> str:
        return f"pruner {self.named.name!r}"

    def _same_names(self, found: Mapping[str, Any], what: str) -> None:
        missing = [name for name in self.names if name not in found]
        unknown = [name for name in found if name not in self.names]
        if missing or unknown:
            wrong = f"no {what} for {missing[0]!r}" if missing else f"{what} for unknown layer {unknown[0]!r}"
            raise ScoreError(f"{self._who} returned {wrong}; it must return the names of view.weights")

    def _ranking(self, name: str, scores: Any, alive: np.ndarray | None) -> Ranking:
        magnitude = isinstance(scores, Magnitude)
        array = self.opened.host(scores.array if magnitude else scores)
        shape = self.opened.layers[name].shape
        if array.shape != shape:
            raise ScoreError(f"{self._who}, layer {name!r}: scores have shape {array.shape}, weights {shape}")
        if not is_float(array.dtype):
            raise ScoreError(f"{self._who}, layer {name!r}: scores are {array.dtype}, they must be floats")
        return Ranking(name=name, scores=array, magnitude=magnitude, alive=alive)

    @contextmanager
    def _view(self) -> Iterator[WatchedView]:
        missing = [need for need in sorted(self.named.needs) if self.data is None]
        if missing or ("gradients" in self.named.needs and self.loss is None):
            wants = "data=batches" + (
                " and loss=function(model, batch)" if "gradients" in self.named.needs else ""
            )
            raise NeedsData(f"{self._who} needs {' and '.join(sorted(self.named.needs))}: pass {wants}")
        inner = self.opened.view(self.names, data=self.data, loss=self.loss, prepared=self.prepared)
        weights = Watched(inner.weights)
        streams: list[Stream] = []

        def activations(gradients: bool = False) -> Stream:
            streams.append(inner.activations(gradients))
            return streams[-1]

        try:
            with self.opened.guard(self.names):
                yield WatchedView(weights, inner.ops, inner.prepared, activations, inner.gradients)
        except PrunersError:
            raise
        except Exception as error:
            at = f" at layer {weights.last!r}" if weights.last else ""
            raise PrunerFailed(f"{self._who} failed{at}: {type(error).__name__}: {error}") from error
        finally:
            for stream in streams:
                stream.close()


@contextmanager
def blaming(named: NamedPruner) -> Iterator[None]:
    """Put the pruner's name before errors that selection finds in its scores."""
    try:
        yield
    except ScoreError as error:
        if str(error).startswith("pruner "):
            raise
        raise ScoreError(f"pruner {named.name!r}, {error}") from error
