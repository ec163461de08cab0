"""Ask a pruner for scores, safely: what comes back can be ranked, and the model is as it was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from attrs import frozen

from . import registry
from .errors import OptionError, PrunerFailed, PrunersError, RuleError, ScoreError
from .host import is_float
from .protocols import Adjusts, Allocates, Loss, Magnitude, OpenModel, Prepares, Pruner, Traced, Unit
from .selection import Selection
from .selection.channels import living_channels, whole_channels
from .selection.ranking import Ranking
from .specs import PrunerSpec, made_by
from .structure.engine import Structure
from .watching import WatchedView, Watching


@frozen
class NamedPruner:
    """A pruner and the name to blame it by."""

    name: str
    pruner: Pruner
    needs: frozenset[str] = frozenset()

    @property
    def unit(self) -> Unit:
        """What one of its scores stands for."""
        return self.pruner.unit

    def check_parts(self, pattern: object, budget: str = "uniform", scope: str = "layer") -> None:
        """Refuse parts of a rule that only make sense for pruners of single weights."""
        if self.unit == "weight":
            return
        if pattern is not None:
            raise RuleError(
                f"pruner {self.name!r} scores whole channels, which are a pattern: leave pattern out"
            )
        if budget != "uniform":
            raise RuleError(
                f"pruner {self.name!r} scores whole channels; budget={budget!r} shares out single weights"
            )
        if scope == "output":
            raise RuleError(
                f"pruner {self.name!r} scores whole channels, of which an output has one: use scope='layer' "
                "or 'model'"
            )


def as_pruner(pruner: str | Pruner) -> NamedPruner:
    """Return a pruner given by name or as an object, checked to be one."""
    if isinstance(pruner, str):
        made = registry.pruner(pruner)
        spec = registry.installed().find("pruner", pruner).spec
        named = NamedPruner(pruner, made, spec.needs)  # type: ignore[union-attr]
    else:
        named = NamedPruner(type(pruner).__name__, pruner, _needs(pruner))
    unit = getattr(named.pruner, "unit", None)
    if not callable(getattr(named.pruner, "scores", None)) or unit not in ("weight", "channel"):
        raise OptionError(
            f"pruner {named.name!r} must have unit = 'weight' or 'channel' and a method scores(view); "
            f"its unit is {unit!r}"
        )
    return named


def _needs(pruner: Pruner) -> frozenset[str]:
    """Return what the spec of an installed pruner says that this one, given as an object, needs."""
    for plugin in registry.installed().plugins:
        if isinstance(plugin.spec, PrunerSpec) and made_by(plugin.spec.factory) is type(pruner):
            return plugin.spec.needs
    return frozenset()


@frozen(eq=False)
class Scorer:
    """One pruner at work on some layers of one open model."""

    opened: OpenModel
    named: NamedPruner
    names: Sequence[str]
    data: Iterable[Any] | None = None
    loss: Loss | None = None
    prepared: Mapping[str, float] = {}
    example_inputs: Any = None
    """What the model is run on where its operations have to be recorded; else the first batch is taken."""
    traced: Traced | None = None
    structure: Structure | None = None

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

    def channel_scores(self) -> dict[str, np.ndarray]:
        """
        Return the checked scores ``(out,)`` of every layer's output channels, in float64.

        A pruner of single weights gives a channel the mean of its weights' scores.
        """
        with blaming(self.named):
            found = {name: ranking.values() for name, ranking in self.rankings().items()}
        if self.named.unit == "channel":
            return {name: values.astype(np.float64) for name, values in found.items()}
        return {name: _channel_means(values) for name, values in found.items()}

    def adjustments(self, kept: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the weights that a pruner repairs once only `kept` remain; nothing is written."""
        if not isinstance(self.named.pruner, Adjusts):
            return {}
        with self._view() as view:
            changes = self.named.pruner.adjust(view, kept)
        return {name: self._new_weight(name, weight) for name, weight in changes.items()}

    def whole(
        self,
        selection: Selection,
        rankings: Mapping[str, Ranking],
        alive: Mapping[str, np.ndarray] | None = None,
    ) -> Selection:
        """Return masks in the shape of the weights, from masks over whatever the pruner scores."""
        if self.named.unit == "weight":
            return selection
        shapes = {name: self.opened.layers[name].shape for name in selection.masks}
        masks = whole_channels(selection.masks, rankings, shapes, alive or {})
        return Selection(masks, selection.skipped)

    def units(self, name: str) -> int:
        """Return how many scores a layer has."""
        layer = self.opened.layers[name]
        return layer.size if self.named.unit == "weight" else layer.shape[0]

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
        shape, what = self.opened.layers[name].shape, "weights"
        if self.named.unit == "channel":
            if not shape:
                raise ScoreError(f"{self._who}: layer {name!r} has no channels; leave it out of the rule")
            alive = None if alive is None else living_channels(alive)
            shape, what = shape[:1], "its output channels"
        if array.shape != shape:
            raise ScoreError(f"{self._who}, layer {name!r}: scores have shape {array.shape}, {what} {shape}")
        if not is_float(array.dtype):
            raise ScoreError(f"{self._who}, layer {name!r}: scores are {array.dtype}, they must be floats")
        return Ranking(name=name, scores=array, magnitude=magnitude, alive=alive)

    def _new_weight(self, name: str, weight: Any) -> np.ndarray:
        if name not in self.opened.layers:
            raise ScoreError(f"{self._who} adjusts {name!r}, which is no parameter of the model")
        array, shape = self.opened.host(weight), self.opened.layers[name].shape
        if array.shape != shape or not is_float(array.dtype):
            raise ScoreError(
                f"{self._who} adjusts {name!r} to {array.dtype} {array.shape}; give floats of shape {shape}"
            )
        if not np.isfinite(array.astype(np.float64)).all():
            raise ScoreError(f"{self._who} adjusts {name!r} to numbers that are not all finite")
        return array

    @contextmanager
    def _view(self) -> Iterator[WatchedView]:
        watching = Watching(
            self.opened, self._who, self.named.needs, self.names, self.data, self.loss,
            self.prepared, self.example_inputs, self.traced, self.structure,
        )  # fmt: skip
        view = watching.view()
        try:
            with self.opened.guard(self.names):
                yield view
        except PrunersError:
            raise
        except Exception as error:
            at = f" at layer {view.weights.last!r}" if view.weights.last else ""
            raise PrunerFailed(f"{self._who} failed{at}: {type(error).__name__}: {error}") from error
        finally:
            watching.close()


def _channel_means(values: np.ndarray) -> np.ndarray:
    """Return the mean over all axes but the first; 0 for channels without weights."""
    rows = values.reshape(len(values), -1) if values.size else np.zeros((len(values), 1))
    means: np.ndarray = rows.mean(axis=1, dtype=np.float64)
    return means


@contextmanager
def blaming(named: NamedPruner) -> Iterator[None]:
    """Put the pruner's name before errors that selection finds in its scores."""
    try:
        yield
    except ScoreError as error:
        if str(error).startswith("pruner "):
            raise
        raise ScoreError(f"pruner {named.name!r}, {error}") from error
