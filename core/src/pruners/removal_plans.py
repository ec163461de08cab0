"""One way to make a model smaller, before anything is cut: what leaves, what stays, what it saves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from attrs import frozen

from .errors import RemovalError
from .protocols import Layer, Traced
from .removals import Before, GroupRow
from .structure.axes import output_axes
from .structure.choosing import Amount, Reduction, choose, unit_scores
from .structure.costs import Costs, costs
from .structure.engine import Structure
from .structure.literals import Reconciler, Restored
from .structure.plan import RemovalPlan


@frozen(eq=False)
class Candidate:
    """What would leave, and everything that follows from it."""

    layers: Mapping[str, Layer]
    traced: Traced
    structure: Structure
    costs: Costs
    gone: np.ndarray
    """Roots that leave: bool ``(root,)``."""
    plan: RemovalPlan
    restored: tuple[Restored, ...]

    @property
    def parameters(self) -> Before:
        """Parameters before and after."""
        return Before(self.costs.parameters(np.zeros_like(self.gone)), self.costs.parameters(self.gone))

    @property
    def macs(self) -> Before:
        """Multiply-accumulates of one forward pass before and after."""
        return Before(self.costs.macs(np.zeros_like(self.gone)), self.costs.macs(self.gone))

    def coordinates(self, mode: str, value: int) -> tuple[np.ndarray | None, ...]:
        """Return the kept indices per axis of a recorded value; None: all of them."""
        return tuple(self._kept(roots) for roots in self.structure.labels(mode, value))

    def kept_channels(self) -> dict[str, np.ndarray]:
        """Return for each scored layer which output channels stay: bool ``(out,)``."""
        axes = output_axes(self.layers, self.traced.programs)
        found = {}
        for name in scored_layers(self.structure, self.layers):
            roots = self.structure.parameter(name)[axes[name]]
            found[name] = np.ones(self.layers[name].shape[0], bool) if roots is None else ~self.gone[roots]
        return found

    def rows(self) -> Iterator[GroupRow]:
        """Yield what becomes of each group."""
        because = {root: each.place for each in self.restored for root in each.roots}
        groups = self.structure.groups
        owner = np.full(self.structure.size, len(groups))
        for number, group in enumerate(groups):
            owner[group.units] = number
        saved = self.costs.alone(owner, self.gone, len(groups))
        for group, (parameters, macs) in zip(groups, saved, strict=True):
            places = {str(because[int(root)]) for root in group.units if int(root) in because}
            yield GroupRow(
                layer=group.name,
                layers=tuple(member.parameter for member in group.scored),
                units=len(group),
                kept=int(np.count_nonzero(~self.gone[group.units])),
                parameters=parameters,
                macs=macs,
                restored="; ".join(f"a size in {place}" for place in sorted(places)),
            )

    def _kept(self, roots: np.ndarray | None) -> np.ndarray | None:
        if roots is None or not self.gone[roots].any():
            return None
        return np.flatnonzero(~self.gone[roots])


def propose(
    layers: Mapping[str, Layer],
    traced: Traced,
    structure: Structure,
    scores: Mapping[str, np.ndarray],
    amount: Amount,
    reduction: Reduction,
) -> Candidate:
    """Choose what leaves, and fit it to the sizes in the user's code."""
    saved = costs(structure, layers)
    by_unit = unit_scores(structure, scores, reduction)
    chosen = choose(structure, by_unit, amount, saved)
    rank = np.full(structure.size, -np.inf)
    for group in structure.groups:
        rank[group.units] = by_unit[group.name]
    reconciler = Reconciler(structure, traced.attributes)
    reconciler.add(traced.literals)
    gone, attributes, restored = reconciler.fit(chosen, rank)
    plan = RemovalPlan(_kept_axes(structure, gone), attributes)
    return Candidate(layers, traced, structure, saved, gone, plan, tuple(restored))


def follow(layers: Mapping[str, Layer], traced: Traced, structure: Structure, plan: RemovalPlan) -> Candidate:
    """Return what a plan made elsewhere takes out of this model; it must fit to the last index."""
    gone = np.zeros(structure.size, bool)
    for name, axes in plan.kept.items():
        roots = structure.parameter(name) if name in structure.parameters else ()
        for axis, indices in axes.items():
            labels = roots[axis] if axis < len(roots) else None
            if labels is None or not _are_positions(indices, len(labels)):
                raise RemovalError(f"the plan does not fit this model: it cuts axis {axis} of {name!r}")
            left = np.ones(len(labels), bool)
            left[indices] = False
            gone[labels[left]] = True
    found = _kept_axes(structure, gone)
    for name in {**plan.kept, **found}:
        if not _same_axes(plan.kept.get(name, {}), found.get(name, {})):
            raise RemovalError(f"the plan does not fit this model: other channels hang together in {name!r}")
    return Candidate(layers, traced, structure, costs(structure, layers), gone, plan, ())


def _are_positions(indices: np.ndarray, length: int) -> bool:
    rising = bool((np.diff(indices) > 0).all())
    return rising and len(indices) > 0 and indices[0] >= 0 and bool(indices[-1] < length)


def _same_axes(one: Mapping[int, np.ndarray], other: Mapping[int, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[axis], other[axis]) for axis in one)


def scored_layers(structure: Structure, layers: Mapping[str, Layer]) -> list[str]:
    """Return the layers whose channels can leave, in the model's order."""
    moving = {member.parameter for group in structure.groups for member in group.scored}
    return [name for name in layers if name in moving]


def whole_layers(layers: Mapping[str, Layer], traced: Traced, structure: Structure) -> dict[str, str]:
    """Return why the output channels of some layers all stay."""
    moving = set(scored_layers(structure, layers))
    found: dict[str, str] = {}
    for mode, program in traced.programs.items():
        for name, axis in output_axes(layers, traced.programs).items():
            if name not in moving and name in program.parameters:
                reasons = structure.reasons(mode, program.parameters[name], axis)
                found.setdefault(name, str(reasons[0]) if reasons else "nothing sums over its channels")
    return found


def _kept_axes(structure: Structure, gone: np.ndarray) -> dict[str, dict[int, np.ndarray]]:
    kept: dict[str, dict[int, np.ndarray]] = {}
    for name in structure.parameters:
        for axis, roots in enumerate(structure.parameter(name)):
            if roots is not None and gone[roots].any():
                kept.setdefault(name, {})[axis] = np.flatnonzero(~gone[roots])
    return kept
