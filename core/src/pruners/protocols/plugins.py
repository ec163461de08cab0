"""What pruners, schedules and patterns are: structural, so a plugin inherits nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from attrs import field, frozen

from .views import Array, View

if TYPE_CHECKING:
    import numpy as np

    from ..selection.ranking import Ranking

Unit = Literal["weight", "channel"]
Reach = Literal["shape", "weight", "channel", "layer"]
"""How much of its layer a score looks at: no weight, its own, its own output channel, or the whole layer."""


class Pruner(Protocol):
    """Ranks units: one score per weight or per output channel; the larger is kept."""

    @property
    def unit(self) -> Unit:
        """What one score stands for: a weight, or a whole output channel."""
        ...

    def scores(self, view: View) -> Mapping[str, Any]:
        """Return ``{name: scores}`` with the names and, for weights, the shapes of `view.weights`.

        An array of the model's framework, a NumPy array, or `pruners.Magnitude`.
        """
        ...


@runtime_checkable
class Reaches(Protocol):
    """
    Optional, for pruners that say how much of its layer a score looks at: nothing outside that changes it.

    Layers that lie in pieces on several ranks are then scored where they lie (``"weight"``), by whole rows
    (``"channel"``), or one whole layer at a time: put together (``"layer"``), or as zeros of its shape where
    only name, shape and position count (``"shape"``). Of other pruners every layer is put together when
    it is read.
    """

    @property
    def reach(self) -> Reach:
        """``"shape"``, ``"weight"``, ``"channel"`` or ``"layer"``; what data say is beside the point."""
        ...


@runtime_checkable
class Allocates(Protocol):
    """Optional, for pruners that decide themselves how much of each layer goes."""

    def allocate(self, view: View, sparsity: float) -> Mapping[str, float]:
        """Return the sparsity of each layer, in [0, 1), for the asked strength `sparsity`."""
        ...


@runtime_checkable
class Adjusts(Protocol):
    """Optional, for pruners that repair what remains after a removal."""

    def adjust(self, view: View, kept: Mapping[str, np.ndarray]) -> Mapping[str, Any]:
        """
        Return new weights ``{name: (out, in, *kernel)}`` for any parameters, full size.

        `kept` says for each scored layer which output channels stay: bool ``(out,)``.
        """
        ...


@runtime_checkable
class Prepares(Protocol):
    """Optional, for pruners that measure something once, before anything is pruned."""

    def prepare(self, view: View) -> Mapping[str, float]:
        """Return plain numbers; they come back as `view.prepared` and are saved with the session."""
        ...


class Scheduler(Protocol):
    """Says how sparse a layer should be at a step, and when masks are recomputed."""

    def sparsity(self, step: int) -> float:
        """Return the fraction of weights that are zero after `step`, in [0, 1)."""
        ...

    def due(self, step: int) -> bool:
        """Return whether masks are recomputed at `step`."""
        ...


@runtime_checkable
class Bounded(Protocol):
    """Optional, for schedules whose ends can be set from outside.

    A rule's ``sparsity=`` sets the end, ``restore=True`` sets the beginning.
    """

    def between(self, initial: float | None, final: float | None) -> Scheduler:
        """Return this schedule from `initial` to `final`; None leaves an end as it is."""
        ...


class Pattern(Protocol):
    """Says where zeros may lie in a layer."""

    def mask(self, ranking: Ranking, sparsity: float) -> np.ndarray:
        """Return the bool mask ``(out, in, *kernel)``, True where kept, exact under ties.

        May raise `pruners.SkipLayer` with the reason why the pattern cannot lie here.
        """
        ...

    def check(self, mask: np.ndarray) -> None:
        """Raise `pruners.PatternError` if `mask` breaks the pattern."""
        ...


@runtime_checkable
class Divides(Protocol):
    """Optional, for patterns that can be laid on a layer piece by piece."""

    def rows(self, shape: tuple[int, ...]) -> int | None:
        """
        Return the multiple of output rows at which a layer of this whole shape may be cut.

        `mask` is then asked for each piece alone, with a ranking that knows the whole layer:
        `Ranking.total`, `Ranking.whole_shape`, and `layer_mask`, which ranks among all pieces. A
        piece may have no rows. None where the layer cannot be cut.
        """
        ...


@frozen
class Magnitude:
    """Scores that are the absolute values of `array`, without computing them.

    A pruner that ranks by magnitude returns ``Magnitude(w)``: selection clears the sign bit
    as it reads, so no second copy of the weights is made.
    """

    array: Array = field(eq=False)
