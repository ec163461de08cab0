"""A block's recorded forward passes, and the surgery that makes it smaller."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen
from mxnet.gluon import Block

from pruners import Loss
from pruners.protocols import Stream
from pruners.structure.plan import Coordinates, RemovalPlan, Removed
from pruners.structure.program import Attribute, LiteralSize, Program

from . import surgery
from .tracing import Recording, replay


@frozen(eq=False)
class TracedBlock:
    """One block that was recorded, ready to be cut in place."""

    model: Block
    recording: Recording
    example_inputs: Any

    @property
    def programs(self) -> Mapping[str, Program]:
        """The recorded passes by mode, "eval" first."""
        return self.recording.programs

    @property
    def literals(self) -> Sequence[LiteralSize]:
        """Sizes that the block's code hands to operators."""
        return self.recording.literals

    @property
    def attributes(self) -> Mapping[Attribute, int]:
        """The integers in the block that `literals` mention, as they are now."""
        return self.recording.attributes

    def values(self, wanted: Mapping[str, int], data: Iterable[Any], loss: Loss | None = None) -> Stream:
        """Yield ``(name, array)`` for recorded values of the "eval" program, batch by batch."""
        return replay(self.model, self.recording, wanted, data, loss)

    def remove(
        self,
        plan: RemovalPlan,
        coordinates: Coordinates,
        *,
        optimizer: Any = None,
        copies: Sequence[Any] = (),
        tolerance: float | None = None,
    ) -> Removed:
        """Cut the block in place and prove it, or leave everything as it was."""
        return surgery.remove(
            self.model,
            self.example_inputs,
            self.recording,
            plan,
            coordinates,
            optimizer=optimizer,
            copies=copies,
            tolerance=tolerance,
        )
