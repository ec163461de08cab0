"""Which node of a graph is the first that fails, has another shape, or gives other numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx

from ..surgery.masking import masked
from ..surgery.proving import Trial
from ..surgery.running import lent, sheltered
from ..surgery.tensors import index
from ..surgery.undo import Snapshot
from ..tracing.running import Arguments
from .lengths import Lengths
from .model import GraphModel
from .nodes import shown
from .recording import Made, step_through
from .routines import Routine

_NOWHERE = "no single node"
_GAP = 1e-3


class _Met(Exception):
    """A node that is not as it should be."""

    def __init__(self, node: fx.Node) -> None:
        super().__init__(node.name)
        self.node = node


def first_wrong(model: GraphModel, routine: Routine, arguments: Arguments, lengths: Lengths) -> str:
    """Return, in words, the first node of a rewritten graph that fails or has an unexpected shape."""
    expected = {node.name: made for node, made in lengths.made.items() if isinstance(made, Made)}
    running: list[fx.Node] = []

    def check(node: fx.Node, result: Any) -> None:
        made = expected.get(node.name)
        if made is not None and tuple(result.shape) != lengths.shape(made):
            raise _Met(node)

    try:
        with lent(model, sheltered):
            _stepped(model, routine, arguments, check, running.append)
    except _Met as met:
        return shown(met.node)
    except Exception:
        return shown(running[-1]) if running else _NOWHERE
    return _NOWHERE


def first_different(
    trial: Trial, routines: tuple[Routine, Routine], lengths: Lengths, before: Snapshot, after: Snapshot
) -> str:
    """Return, in words, the first node that gives other numbers in the smaller graph than before."""
    made = {node.name: each for node, each in lengths.made.items() if isinstance(each, Made)}
    sums: dict[str, tuple[float, ...]] = {}
    model: Any = trial.bench.model

    def note(node: fx.Node, result: Any) -> None:
        if node.name in made and isinstance(result, Tensor):
            kept = lengths.coordinates(lengths.mode, made[node.name].value)
            for axis, indices in enumerate(kept):
                if indices is not None:
                    result = result.index_select(axis, index(indices, result))
            sums[node.name] = _summed(result)

    def check(node: fx.Node, result: Any) -> None:
        if node.name in sums and _apart(sums[node.name], _summed(result)):
            raise _Met(node)

    try:
        before.restore()
        with masked(model, trial.pieces, trial.norms, None):
            _stepped(model, routines[0], trial.bench.inputs, note)
        after.restore()
        with lent(model, sheltered):
            _stepped(model, routines[1], trial.bench.inputs, check)
    except _Met as met:
        return shown(met.node)
    except Exception:
        return _NOWHERE
    finally:
        after.restore()
    return _NOWHERE


def _stepped(
    model: GraphModel,
    routine: Routine,
    arguments: Arguments,
    after: Callable[[fx.Node, Any], None],
    before: Callable[[fx.Node], None] | None = None,
) -> None:
    fresh = arguments.fresh()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        step_through(model, routine, routine.flat(fresh.positional, fresh.named), after, before)


def _summed(tensor: Tensor) -> tuple[float, ...]:
    """Return numbers that tell one tensor from another, whatever is zero in it."""
    wide = tensor.detach().to(torch.float64) if not tensor.is_complex() else tensor.detach().abs()
    return float(wide.sum()), float(wide.abs().sum()), float(wide.square().sum())


def _apart(left: tuple[float, ...], right: tuple[float, ...]) -> bool:
    scale = max(abs(left[1]), abs(right[1]), 1e-12)
    return any(abs(a - b) > _GAP * scale for a, b in zip(left[:2], right[:2], strict=True))
