"""Parts of a model that hold tensors and no code: what a module was, for those who ask."""

from __future__ import annotations

from attrs import frozen
from torch import Tensor, nn


@frozen
class Origin:
    """What a module of the user's was."""

    type: str = "Part"
    """Name of its type, ``"Conv2d"``."""
    bases: tuple[str, ...] = ()
    """Names of its type and of the types that is built on, nearest first."""
    weights: tuple[str, ...] = ()
    """Which of its parameters the wildcards of rules reach."""
    groups: int = 0
    """Groups of a transposed convolution; 0 for anything else."""


class Part(nn.Module):
    """
    Stands for a module of the user's in a model that runs without the user's code.

    Parameters
    ----------
    origin : Origin
        What the module was.
    """

    def __init__(self, origin: Origin = Origin()) -> None:
        super().__init__()
        self.pruners_origin = origin

    def _get_name(self) -> str:
        return self.pruners_origin.type

    def extra_repr(self) -> str:
        """Say how large its tensors are."""
        own: dict[str, Tensor | None] = {**self._parameters, **self._buffers}
        shown = (f"{name}={tuple(each.shape)}" for name, each in own.items() if each is not None)
        return ", ".join(shown)
