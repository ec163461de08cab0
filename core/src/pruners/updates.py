"""What a session is given, what one update of its masks is, and how one comes about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from attrs import frozen

from .errors import StateError
from .host import count_zeros
from .plans import Plan, describe, resume, select_due
from .protocols import Loss, OpenModel, Peers
from .selection import Selection
from .sharding.agreeing import check_same_masks, check_same_work
from .sharding.counting import counted
from .sharding.ranks import boxes_of
from .states import State


class Sparsity(NamedTuple):
    """How sparse a model is: each layer's fraction of zeros, and the total over listed weights."""

    layers: dict[str, float]
    total: float


@frozen
class Update:
    """One entry of a session's log: masks were recomputed at `step` and reached `sparsity`."""

    step: int
    sparsity: float


@frozen(eq=False)
class Inputs:
    """What a session was given and does not change."""

    model: Any
    data: Iterable[Any] | None
    loss: Loss | None
    example_inputs: Any = None
    peers: Peers | None = None
    """The ranks that prune this model together."""


def sparsity_of(opened: OpenModel, names: Iterable[str]) -> Sparsity:
    """Return how sparse these layers are; of layers in pieces all ranks count."""
    here = {name: [count_zeros(opened.read(name))] for name in names}
    zeros = {name: count for name, (count,) in counted(opened, here).items()}
    sizes = {name: opened.layers[name].size for name in zeros}
    layers = {name: zeros[name] / max(1, sizes[name]) for name in zeros}
    return Sparsity(layers, sum(zeros.values()) / max(1, sum(sizes.values())))


def due_masks(
    opened: OpenModel,
    plans: Sequence[Plan],
    steps: range,
    masks: Mapping[str, np.ndarray],
    skipped: Mapping[str, str],
    given: Inputs,
    peers: Peers | None,
) -> Selection | None:
    """
    Return the masks due at any of `steps`, or None; the model is only read.

    On several ranks these do the same work, and find the same masks where they hold the same weights.
    """
    if peers is not None:
        check_same_work(peers, steps[-1], dict.fromkeys(masks, "") | describe(plans))
    selection = select_due(
        opened,
        plans,
        steps,
        masks,
        skipped=skipped,
        data=given.data,
        loss=given.loss,
        example_inputs=given.example_inputs,
        peers=peers,
    )
    if peers is not None:
        found = {**masks, **({} if selection is None else selection.masks)}
        check_same_masks(peers, found, boxes_of(opened))
    return selection


def resumed(
    saved: State,
    plans: Sequence[Plan],
    opened: OpenModel,
    masks: Mapping[str, np.ndarray],
    peers: Peers | None,
) -> list[Plan]:
    """
    Return the rules at work as they were when a saved session began.

    Raises
    ------
    StateError
        If the state belongs to a session with other layers or rules.
    RankError
        If ranks take up different states.
    """
    saved.check_layers(masks)
    if len(saved.prepared) != len(plans):
        raise StateError(
            f"the state has {len(saved.prepared)} rules at work, this session {len(plans)}; "
            "attach with the saved rules to resume"
        )
    found = [
        resume(plan, opened, prepared, saved.initial)
        for plan, prepared in zip(plans, saved.prepared, strict=True)
    ]
    saved.check_plans(describe(found))
    if peers is not None:
        check_same_work(peers, saved.time, saved.plans)
        check_same_masks(peers, saved.masks, boxes_of(opened))
    return found
