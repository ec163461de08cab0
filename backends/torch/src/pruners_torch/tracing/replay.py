"""Runs a recorded model again on other batches and yields the tensors behind recorded values."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from pruners import Loss, NeedsData, TraceError

from .recorder import Guard, signature_of
from .recording import Recording, Script
from .running import Arguments, Snapshot, plainly, set_mode, untouched
from .steps import IGNORED, Signature, Step, tensors
from .tape import Origin

_OPTIONAL = (
    frozenset(
        name
        for names in (
            "view _unsafe_view reshape _reshape_alias clone contiguous alias detach _to_copy expand",
            "as_strided lift_fresh transpose permute t squeeze unsqueeze copy slice",
            "empty empty_strided empty_like",
        )
        for name in names.split()
    )
    | IGNORED
)
"""Operations that only move numbers: whether they run may depend on the size of a batch."""


class Capture(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """
    While active, follows the operations of a recorded pass and keeps chosen tensors.

    Parameters
    ----------
    script : Script
        The operations of the recorded pass.
    wanted : iterable of int
        Recorded values to keep.
    guard : callable, optional
        Told of tensors that are about to be written to.
    """

    def __init__(self, script: Script, wanted: Iterable[int], guard: Guard | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._guard = guard
        self._script = script
        self._at: dict[int, list[tuple[int, Origin]]] = {}
        for value in wanted:
            origin = script.origins[value]
            self._at.setdefault(origin.position, []).append((value, origin))
        self._next = 0
        self.taken: dict[int, Tensor] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation, in step with the recorded ones."""
        kwargs = kwargs or {}
        known = signature_of(func)
        targets = known.targets(args, kwargs) if known.written else []
        if self._guard is not None:
            self._guard(targets)
        self._save(targets)
        position = self._follow(func, known)
        due = self._at.get(position, ()) if position is not None else ()
        before = [(value, origin) for value, origin in due if origin.side == "read"]
        if before:
            read = Step(known, args, kwargs, None).read
            self.taken.update((value, read[origin.which]) for value, origin in before)
            self._save(targets)
        result = func(*args, **kwargs)
        for value, origin in due:
            if origin.side != "read":
                tensor = tensors([result])[origin.which]
                self.taken[value] = tensor if origin.side == "returned" else _base(tensor)
        return result

    def _follow(self, func: OpOverload, known: Signature) -> int | None:
        """Return which recorded operation this is; None for one that only moves numbers."""
        operations = self._script.operations
        position = self._next
        while position < len(operations) and operations[position] is not func:
            if signature_of(operations[position]).name not in _OPTIONAL:
                break
            position += 1
        if position < len(operations) and operations[position] is func:
            self._next = position + 1
            return position
        if known.name in _OPTIONAL:
            return None
        raise TraceError(self._departed(known))

    def _departed(self, known: Signature) -> str:
        script, position = self._script, self._next
        if position >= len(script.operations):
            return f"the model ran {known.shown} after the end of its recorded pass; {_ADVICE}"
        expected = signature_of(script.operations[position]).shown
        module = script.modules[position] or "the model"
        return f"the model ran {known.shown} where {expected} was recorded in {module!r}; {_ADVICE}"

    def _save(self, targets: Sequence[Tensor]) -> None:
        """Copy kept tensors whose memory an operation is about to write to."""
        memory = {tensor.untyped_storage().data_ptr() for tensor in targets}
        for value, tensor in self.taken.items() if memory else ():
            if tensor.untyped_storage().data_ptr() in memory:
                self.taken[value] = tensor.clone()


_ADVICE = "its operations depend on the data: pass example inputs that are typical, or batches alike"


def _base(tensor: Tensor) -> Tensor:
    return tensor if tensor._base is None else tensor._base


def replay(
    model: nn.Module,
    recording: Recording,
    wanted: Mapping[str, int],
    data: Iterable[Any],
    loss: Loss | None = None,
) -> Generator[tuple[str, Tensor], None, None]:
    """
    Run the model in evaluation mode on each batch and yield recorded values.

    Parameters
    ----------
    model : torch.nn.Module
        The recorded model.
    recording : Recording
        What was recorded of it.
    wanted : {name: value}
        Values of the "eval" program, under names of the caller's.
    data : iterable
        Batches; a mapping holds keyword arguments, of a tuple or list the first entry is the input.
    loss : callable, optional
        ``loss(model, batch)`` runs the model once on a batch in place of a plain call.

    Yields
    ------
    (str, torch.Tensor)
        A name and its tensor of this batch, for each name and batch.

    Raises
    ------
    pruners.TraceError
        If the model runs other operations than were recorded, or never runs.
    pruners.NeedsData
        If there is no batch.
    """
    script, program = recording.scripts["eval"], recording.programs["eval"]
    parameters = {value: name for name, value in program.parameters.items()}
    met = {value for value in wanted.values() if value in script.origins}
    lost = [name for name, value in wanted.items() if value not in met and value not in parameters]
    if lost:
        raise TraceError(f"the value {lost[0]!r} is never held by a tensor while the model runs")
    count = 0
    for count, batch in enumerate(data, start=1):  # noqa: B007
        taken = _run(model, script, met, batch, loss)
        named = dict(model.named_parameters()) | dict(model.named_buffers())
        for name, value in wanted.items():
            yield name, taken[value] if value in taken else named[parameters[value]].detach()
    if not count:
        raise NeedsData("data gave no batch; pass a list or a loader that can be read again")


def _run(
    model: nn.Module, script: Script, wanted: set[int], batch: Any, loss: Loss | None
) -> dict[int, Tensor]:
    passes: list[Capture] = []
    snapshot = Snapshot(model)
    with untouched(snapshot), plainly():
        set_mode(model, "eval")
        with _capturing(model, lambda: Capture(script, wanted, snapshot.guard), passes):
            if loss is not None:
                loss(model, batch)
            else:
                given = batch[0] if isinstance(batch, (tuple, list)) else batch
                arguments = Arguments.of(batch) if isinstance(batch, Mapping) else Arguments((given,))
                arguments.fresh().call(model)
    if not passes:
        raise TraceError("loss(model, batch) did not run the model")
    missing = wanted - set(passes[-1].taken)
    if missing:
        raise TraceError(f"the model did not reach every recorded operation; {_ADVICE}")
    return passes[-1].taken


@contextmanager
def _capturing(model: nn.Module, make: Callable[[], Capture], passes: list[Capture]) -> Iterator[None]:
    """Follow the operations within every call of the model, and no others."""

    def enter(module: nn.Module, args: Any) -> None:
        passes.append(make())
        passes[-1].__enter__()  # type: ignore[no-untyped-call]

    def leave(module: nn.Module, args: Any, output: Any) -> None:
        passes[-1].__exit__(None, None, None)  # type: ignore[no-untyped-call]

    hooks = [
        model.register_forward_pre_hook(enter, prepend=True),
        model.register_forward_hook(leave, always_call=True),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
