"""Records one real forward pass as a neutral program, operation by operation."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from pruners.structure.program import Place, Program

from . import indexing, layers, movement, vision  # noqa: F401  (they fill the table)
from .arithmetic import elementwise, opaque
from .results import tensors_in
from .scopes import Scopes
from .steps import Signature, Step, signature, tensors
from .tape import Tape

_KNOWN: dict[OpOverload, Signature] = {}


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """
    While active, every operation that runs is written down.

    Tensors are told apart by identity; what no recorded operation made is a parameter, a buffer
    or comes from outside. Run the model once within ``with recorder:`` and no gradients.

    Parameters
    ----------
    model : torch.nn.Module
        The model that will run.
    named : {str: torch.Tensor}
        Its parameters and buffers by their first names.
    """

    def __init__(self, model: nn.Module, named: Mapping[str, Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.tape = Tape(named)
        self.scopes = Scopes(model, self.tape)
        self.sequence: list[OpOverload] = []
        self.modules: list[str] = []
        self._watching: AbstractContextManager[None] | None = None

    @property
    def program(self) -> Program:
        """What was recorded."""
        return self.tape.program

    def __enter__(self) -> Recorder:
        self._watching = self.scopes.watching()
        self._watching.__enter__()
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        if self._watching is not None:
            self._watching.__exit__(None, None, None)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation and write it down."""
        kwargs = kwargs or {}
        known = _KNOWN.get(func) or _learn(func)
        result = func(*args, **kwargs)
        self.sequence.append(func)
        self.modules.append(self.scopes.name)
        if known.translation is not None:
            self._note(known, Step(known.name, known.bind(args, kwargs), result))
        return result

    def finish(self, output: Any) -> None:
        """Mark every tensor of what the model returned as a result."""
        for tensor in tensors_in(output):
            self.program.result(self.tape.number(tensor))

    def _note(self, known: Signature, step: Step) -> None:
        tape = self.tape
        tape.position = len(self.sequence) - 1
        if not tape.paused:
            tape.place = Place(self.scopes.name, known.shown)
            known.translation(tape, step)  # type: ignore[misc]
        tape.locate(step)
        if known.written and not tape.paused:
            for name in known.written:
                for written in tensors(step.arguments[name]):
                    if written._is_view():
                        tape.rebase(written)


def _learn(function: OpOverload) -> Signature:
    _KNOWN[function] = signature(function, opaque, elementwise)
    return _KNOWN[function]
