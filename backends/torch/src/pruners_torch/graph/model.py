"""A network as a program: one graph per mode over shared tensors, without the user's code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from attrs import frozen
from torch import Tensor, nn

from .._parts import Origin, Part
from .nodes import on_device
from .routines import Routine


@frozen(eq=False)
class Held:
    """One tensor of a model under all its names."""

    names: tuple[str, ...]
    tensor: Tensor
    """A parameter, or a buffer."""
    persistent: bool = True
    """Whether it is part of the model's state."""


class GraphModel(Part):
    """
    A network as a program: it runs, trains, moves between devices and is saved without the user's code.

    Parameters and buffers have the names they had in the user's module. ``model.train()`` and
    ``model.eval()`` choose between the graphs that were exported in training and in evaluation, with
    dropout, batch statistics and auxiliary outputs as the user's module has them in each. The mode
    of a part (``model.layer1.eval()``) has no effect: a part holds tensors and no code.

    Parameters
    ----------
    held : iterable of Held
        The tensors.
    routines : {"eval" or "train": Routine}
        The forward pass of each mode.
    origins : {str: Origin}
        What the user's modules were, by name.
    """

    _pruners_routines: dict[str, Routine]

    def __init__(
        self,
        held: Iterable[Held],
        routines: Mapping[str, Routine],
        origins: Mapping[str, Origin] | None = None,
    ) -> None:
        known = dict(origins or {})
        super().__init__(known.get("", Origin()))
        for each in held:
            for name in each.names:
                _put(self, name, each, known)
        self._pruners_routines = dict(routines)
        self.eval()

    def _get_name(self) -> str:
        return "GraphModel"

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the graph of the current mode; inputs are checked against what it takes."""
        routine = self._pruners_routines["train" if self.training else "eval"]
        return routine.run(self, args, kwargs)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> GraphModel:
        before = device_of(self)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        move_arrays(self, before, device_of(self))
        return self


def routines_of(model: GraphModel) -> dict[str, Routine]:
    """Return the forward pass of each mode."""
    return model._pruners_routines


def set_routines(model: GraphModel, routines: Mapping[str, Routine]) -> None:
    """Give a model other forward passes."""
    model._pruners_routines = dict(routines)


def held_by(model: GraphModel) -> list[Held]:
    """Return every tensor of a model once, parameters first, with all its names."""
    named = [
        *model.named_parameters(remove_duplicate=False),
        *model.named_buffers(remove_duplicate=False),
    ]
    found: dict[int, tuple[list[str], Tensor, bool]] = {}
    for name, tensor in named:
        owner, _, attribute = name.rpartition(".")
        transient = attribute in model.get_submodule(owner)._non_persistent_buffers_set
        names, _, _ = found.setdefault(id(tensor), ([], tensor, not transient))
        names.append(name)
    return [Held(tuple(names), tensor, persistent) for names, tensor, persistent in found.values()]


def origins_of(model: GraphModel) -> dict[str, Origin]:
    """Return what the user's modules were."""
    return {name: part.pruners_origin for name, part in model.named_modules() if isinstance(part, Part)}


def move_arrays(model: GraphModel, before: torch.device | None, after: torch.device | None) -> None:
    """Let a model that moved make its new arrays where it is now."""
    if before is not None and after is not None and before != after:
        set_routines(
            model,
            {
                mode: routine.with_graph(on_device(routine.graph, before, after))
                for mode, routine in routines_of(model).items()
            },
        )


def device_of(model: nn.Module) -> torch.device | None:
    """Return where a model's first tensor is."""
    for tensors in (model.parameters(), model.buffers()):
        for tensor in tensors:
            return tensor.device
    return None


def _put(model: nn.Module, name: str, held: Held, origins: Mapping[str, Origin]) -> None:
    *path, attribute = name.split(".")
    owner = model
    for depth, part in enumerate(path, start=1):
        if part not in owner._modules:
            owner.add_module(part, Part(origins.get(".".join(path[:depth]), Origin())))
        owner = owner._modules[part]  # type: ignore[assignment]
    if isinstance(held.tensor, nn.Parameter):
        owner.register_parameter(attribute, held.tensor)
    else:
        owner.register_buffer(attribute, held.tensor, persistent=held.persistent)
