"""Records one real forward pass as a neutral program, operation by operation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from pruners.structure.program import Program

from . import indexing, layers, movement, vision  # noqa: F401  (they fill the table)
from .arithmetic import elementwise, opaque
from .results import tensors_in
from .scopes import Scopes
from .steps import Signature, Step, Translation, signature, tensors
from .tape import Tape

_KNOWN: dict[int, tuple[OpOverload, Signature]] = {}
"""By identity: operations live as long as the process, and hashing them takes longer."""

Guard = Callable[[Iterable[Tensor]], None]


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
    guard : callable, optional
        Told of tensors that are about to be written to.
    """

    def __init__(self, model: nn.Module, named: Mapping[str, Tensor], guard: Guard | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._guard = guard
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
        known = signature_of(func)
        if known.written and self._guard is not None:
            self._guard(known.targets(args, kwargs))
        result = func(*args, **kwargs)
        module = self.scopes.name
        self.sequence.append(func)
        self.modules.append(module)
        if known.translation is not None:
            self._note(known, known.translation, Step(known, args, kwargs, result), module)
        return result

    def finish(self, output: Any) -> None:
        """Mark every tensor of what the model returned as a result."""
        for tensor in tensors_in(output):
            self.program.result(self.tape.number(tensor))

    def stand(self, operation: str) -> None:
        """Say which operation is written down next."""
        self.tape.stand(self.scopes.name, operation)

    def _note(self, known: Signature, translation: Translation, step: Step, module: str) -> None:
        tape = self.tape
        tape.position = len(self.sequence) - 1
        if not tape.paused:
            tape.stand(module, known.shown)
            translation(tape, step)
        tape.locate(step)
        if known.written and not tape.paused:
            for written in tensors([step.arguments[name] for name in known.written]):
                if written._is_view():
                    tape.rebase(written)


def signature_of(function: OpOverload) -> Signature:
    """Return what is known of an operation."""
    known = _KNOWN.get(id(function))
    if known is None:
        known = _KNOWN[id(function)] = (function, signature(function, opaque, elementwise))
    return known[1]
