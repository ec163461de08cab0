"""A session's sparsity and metrics in TensorBoard, by way of whatever writer is at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from .errors import OptionError

if TYPE_CHECKING:
    from .session import Pruning


class Writer(Protocol):
    """What TensorBoard's writers have in common: of PyTorch, tensorboardX and MXNet's mxboard."""

    def add_scalar(self, tag: str, value: float, global_step: int, /) -> Any:
        """Note one number at one step."""
        ...


@runtime_checkable
class Histograms(Protocol):
    """Optional, for writers that draw distributions."""

    def add_histogram(self, tag: str, values: Any, global_step: int, /) -> Any:
        """Note how numbers are distributed at one step."""
        ...


class TensorBoard:
    """
    Write a session's sparsity and metrics to TensorBoard, at the session's own steps.

    Parameters
    ----------
    pruning : Pruning
        The session; it is only read.
    writer : object with ``add_scalar(tag, value, step)``
        For example ``torch.utils.tensorboard.SummaryWriter``; closing it stays yours.
    layers : bool, default True
        Whether to write each layer's sparsity, too.
    histograms : bool, default False
        Whether to write, for each layer, how the fraction kept is distributed over its outputs; needs a
        writer with ``add_histogram``.
    prefix : str, default "pruning"
        First part of every tag: ``pruning/sparsity``, ``pruning/sparsity/fc.weight``,
        ``pruning/kept/fc.weight``, ``pruning/accuracy``.

    Raises
    ------
    OptionError
        If the writer cannot write histograms and should.

    Examples
    --------
    >>> import numpy as np, pruners
    >>> from pruners.tensorboard import TensorBoard
    >>> class Shown:
    ...     def add_scalar(self, tag, value, step):
    ...         print(tag, value, step)
    >>> pruning = pruners.attach({"w": np.array([[0.5, 1.0, 2.0, 3.0]])}, pruners.Rule(sparsity=0.5))
    >>> pruning.record(accuracy=0.75)
    >>> TensorBoard(pruning, Shown()).write()
    pruning/sparsity 0.5 0
    pruning/accuracy 0.75 0
    pruning/sparsity/w 0.5 0
    """

    def __init__(
        self,
        pruning: Pruning,
        writer: Writer,
        *,
        layers: bool = True,
        histograms: bool = False,
        prefix: str = "pruning",
    ) -> None:
        if histograms and not isinstance(writer, Histograms):
            raise OptionError(f"histograms need add_histogram, which {type(writer).__name__} lacks")
        self._pruning = pruning
        self._writer = writer
        self._layers = layers
        self._histograms = writer if histograms and isinstance(writer, Histograms) else None
        self._prefix = prefix
        self._updates = self._records = 0

    def write(self) -> None:
        """Write what is new in the session's log and history, each at its own step, and each layer now."""
        pruning = self._pruning
        for update in pruning.log[self._updates :]:
            self._number("sparsity", update.sparsity, update.step)
        for record in pruning.history[self._records :]:
            for name, value in record.metrics.items():
                self._number(name, value, record.step)
        self._updates, self._records = len(pruning.log), len(pruning.history)
        if self._layers:
            for name, sparsity in pruning.sparsity().layers.items():
                self._number(f"sparsity/{name}", sparsity, pruning.time)
        if self._histograms is not None:
            for name, mask in pruning.host_masks.items():
                kept = mask.reshape(mask.shape[0], -1).mean(axis=1, dtype=np.float64) if mask.size else []
                self._histograms.add_histogram(f"{self._prefix}/kept/{name}", np.asarray(kept), pruning.time)

    def _number(self, tag: str, value: float, step: int) -> None:
        self._writer.add_scalar(f"{self._prefix}/{tag}", value, step)
