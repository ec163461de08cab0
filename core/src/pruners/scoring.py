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
from .protocols import Adjusts, Allocates, Loss, Magnitude, OpenModel, Peers, Prepares, Pruner, Traced, Unit
from .selection import Selection
from .selection.channels import living_channels, whole_channels
from .selection.ranking import Ranking
from .sharding.averaging import averaged, averaged_numbers
from .sharding.boxes import Among
from .sharding.ranks import among
from .sharding.ways import ONE_BY_ONE, Way, shape_of, shown, taken, way_of
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
    peers: Peers | None = None
    """The ranks that score together; None where this process is on its own."""

    def prepare(self) -> dict[str, float]:
        """Let the pruner measure what it measures once, before anything is pruned."""
        if not isinstance(self.named.pruner, Prepares):
            return {}
        with self._view(self.names, "assembled") as (view, watching):
            found = {str(name): float(value) for name, value in self.named.pruner.prepare(view).items()}
        return self._together(found, watching)

    def allocate(self, sparsity: float) -> dict[str, float] | None:
        """Return the pruner's own sparsity per layer, or None where it has no say in that."""
        if not isinstance(self.named.pruner, Allocates):
            return None
        with self._view(self.names, "assembled") as (view, watching):
            shares = {
                str(name): float(each) for name, each in self.named.pruner.allocate(view, sparsity).items()
            }
        self._same_names(shares, "sparsities", self.names)
        return self._together(shares, watching)

    def rankings(self, alive: Mapping[str, np.ndarray] | None = None) -> dict[str, Ranking]:
        """
        Return the checked scores of every layer; units not `alive` rank before all others.

        Of a layer in pieces these are the scores of this rank's weights, or of all its channels.
        """
        way = way_of(self.opened, self.names, self.named.pruner, bool(self.named.needs - {"scales"}))
        runs = [[name] for name in self.names] if way in ONE_BY_ONE else [list(self.names)]
        found = {name: each for run in runs for name, each in self._scores(run, way).items()}
        return {name: self._ranking(name, *found[name], (alive or {}).get(name)) for name in self.names}

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
        with self._view(self.names, "pieces") as (view, _):
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
        lying = {name: each for name in shapes if (each := self._among(name)) is not None}
        masks = whole_channels(selection.masks, rankings, shapes, alive or {}, lying)
        return Selection(masks, selection.skipped)

    def units(self, name: str) -> int:
        """Return how many scores a layer has."""
        layer = self.opened.layers[name]
        return layer.size if self.named.unit == "weight" else layer.shape[0]

    @property
    def _who(self) -> str:
        return f"pruner {self.named.name!r}"

    def _among(self, name: str) -> Among | None:
        return among(self.opened, self.peers, name)

    def _together(self, numbers: dict[str, float], watching: Watching) -> dict[str, float]:
        """Return numbers that are the same on all ranks, averaged where they come from each rank's data."""
        shared = self.peers is not None and watching.looked
        return averaged_numbers(self.peers, numbers) if shared and self.peers else numbers

    def _same_names(self, found: Mapping[str, Any], what: str, names: Sequence[str]) -> None:
        missing = [name for name in names if name not in found]
        unknown = [name for name in found if name not in names]
        if missing or unknown:
            wrong = f"no {what} for {missing[0]!r}" if missing else f"{what} for unknown layer {unknown[0]!r}"
            raise ScoreError(f"{self._who} returned {wrong}; it must return the names of view.weights")

    def _scores(self, names: list[str], way: Way) -> dict[str, tuple[np.ndarray, bool]]:
        """Return each layer's scores as selection needs them, and whether only their magnitudes count."""
        with shown(self.opened, self.peers, names, way), self._view(names, way) as (view, watching):
            scores = self.named.pruner.scores(view)
            if not isinstance(scores, Mapping):
                raise ScoreError(
                    f"{self._who} returned {type(scores).__name__}, not a mapping {{name: scores}}"
                )
            self._same_names(scores, "scores", names)
            found = {name: self._hosted(name, scores[name], way) for name in names}
        if watching.looked and self.peers is not None:
            found = self._averaged(found, way)
        for name, (array, magnitude) in found.items():
            lying = self._among(name)
            if lying is not None:
                found[name] = taken(array, lying, self.named.unit, way), magnitude
        return found

    def _averaged(self, found: dict[str, tuple[np.ndarray, bool]], way: Way) -> dict[str, Any]:
        """Return scores averaged over ranks; of pieces they were made from gradients that are."""
        if way in ONE_BY_ONE:
            raise ScoreError(f"{self._who} looks at data: its spec must say so in needs")
        own = {name for name in found if way == "pieces" and self._among(name) is not None}
        wide = {
            name: np.abs(array).astype(np.float64) if magnitude else array
            for name, (array, magnitude) in found.items()
            if name not in own
        }
        mean = averaged(self.peers, wide) if self.peers is not None else wide
        return {name: each if name in own else (mean[name], False) for name, each in found.items()}

    def _hosted(self, name: str, scores: Any, way: Way) -> tuple[np.ndarray, bool]:
        magnitude = isinstance(scores, Magnitude)
        array = self.opened.host(scores.array if magnitude else scores)
        shape, what = shape_of(self.opened, self.peers, name, way), "weights"
        if self.named.unit == "channel":
            if not shape:
                raise ScoreError(f"{self._who}: layer {name!r} has no channels; leave it out of the rule")
            shape, what = shape[:1], "its output channels"
        if array.shape != shape:
            raise ScoreError(f"{self._who}, layer {name!r}: scores have shape {array.shape}, {what} {shape}")
        if not is_float(array.dtype):
            raise ScoreError(f"{self._who}, layer {name!r}: scores are {array.dtype}, they must be floats")
        return array, magnitude

    def _ranking(self, name: str, array: np.ndarray, magnitude: bool, alive: np.ndarray | None) -> Ranking:
        lying = self._among(name)
        if self.named.unit == "channel":
            alive = None if alive is None else living_channels(alive, lying)
            lying = None
        return Ranking(name=name, scores=array, magnitude=magnitude, alive=alive, among=lying)

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
    def _view(self, names: Sequence[str], way: Way) -> Iterator[tuple[WatchedView, Watching]]:
        watching = Watching(
            self.opened, self._who, self.named.needs, names, self.data, self.loss,
            self.prepared, self.example_inputs, self.traced, self.structure,
            self.peers if way == "assembled" else None,
        )  # fmt: skip
        view = watching.view()
        try:
            with self.opened.guard(names):
                yield view, watching
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
