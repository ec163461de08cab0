"""A model's recorded forward passes, one per mode."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from attrs import evolve, field, frozen
from torch import Tensor, nn
from torch._ops import OpOverload

from pruners import OptionError, TraceError
from pruners.protocols import MODES
from pruners.structure.program import Attribute, LiteralSize, Program

from .listener import Listener
from .recorder import Recorder
from .running import Arguments, Snapshot, plainly, set_mode, untouched
from .sizes import SizeBook, attributes_of, tracked_attributes
from .tape import Origin
from .training import repeats, watched


@frozen(eq=False)
class Script:
    """The operations of one recorded pass in order, so that another pass can be followed along."""

    operations: tuple[OpOverload, ...]
    modules: tuple[str, ...]
    """The module that was running, per operation."""
    origins: Mapping[int, Origin]
    """Recorded value -> where it is met."""


@frozen(eq=False)
class Recording:
    """
    What was recorded of one model.

    Attributes
    ----------
    programs : {mode: Program}
        The recorded passes, "eval" first.
    scripts : {mode: Script}
        What is needed to meet the recorded values again in another pass.
    names : {str: tuple of str}
        First name of each parameter and buffer -> all its names, the first included.
    literals : tuple of LiteralSize
        Sizes that the model's code handed to operations.
    attributes : {Attribute: int}
        The integers in the model that `literals` mention, as they are now.
    notes : tuple of str
        What could not be recorded, and why.
    """

    programs: Mapping[str, Program]
    scripts: Mapping[str, Script]
    names: Mapping[str, tuple[str, ...]]
    literals: tuple[LiteralSize, ...] = ()
    attributes: Mapping[Attribute, int] = field(factory=dict)
    notes: tuple[str, ...] = ()


def trace(
    module: nn.Module,
    example_inputs: Any,
    *,
    modes: Sequence[str] = MODES,
    literals: bool = True,
) -> Recording:
    """
    Record one forward pass of a module per mode.

    Parameters
    ----------
    module : torch.nn.Module
        The model; it is left exactly as it was.
    example_inputs : tensor, tuple, list or mapping
        A tuple holds the positional arguments, a mapping the keyword arguments; anything else is
        the one argument.
    modes : sequence of {"eval", "train"}
        A training pass that fails is left out, with a note; one that tells nothing new, without.
    literals : bool
        Whether sizes in the model's code are looked for.

    Returns
    -------
    Recording
        Programs, and what is needed to meet their values again.

    Raises
    ------
    pruners.TraceError
        If the first pass fails (the cause is chained), or a parameter has no shape yet.
    pruners.OptionError
        If a mode is unknown, or none is given.
    """
    unknown = [mode for mode in modes if mode not in MODES]
    if unknown or not modes:
        got = repr(unknown[0]) if unknown else "none"
        raise OptionError(f"modes must be among {', '.join(MODES)}, got {got}")
    named, names = names_of(module)
    trial = _Trial(module, Snapshot(module), named, Arguments.of(example_inputs))
    notes: list[str] = []
    passes = trial.passes(modes, literals, notes)
    found = tuple(literal for each in passes.values() for literal in each.literals)
    return Recording(
        programs={mode: each.program for mode, each in passes.items()},
        scripts={mode: each.script for mode, each in passes.items()},
        names=names,
        literals=found,
        attributes=attributes_of(module, found),
        notes=tuple(notes),
    )


def names_of(module: nn.Module) -> tuple[dict[str, Tensor], dict[str, tuple[str, ...]]]:
    """Return parameters and buffers by their first names, and all names of each."""
    named: dict[str, Tensor] = {}
    names: dict[str, tuple[str, ...]] = {}
    first: dict[int, str] = {}
    held = [
        (f"{owner}.{name}" if owner else name, tensor)
        for kind in ("_parameters", "_buffers")
        for owner, each in module.named_modules(remove_duplicate=False)
        for name, tensor in getattr(each, kind).items()
        if tensor is not None
    ]
    for name, tensor in held:
        if isinstance(tensor, (nn.parameter.UninitializedParameter, nn.parameter.UninitializedBuffer)):
            raise TraceError(f"{name!r} has no shape yet; run the model once on a batch, then trace it")
        known = first.setdefault(id(tensor), name)
        named.setdefault(known, tensor)
        names[known] = (*names.get(known, ()), name)
    return named, names


@frozen(eq=False)
class _Pass:
    program: Program
    script: Script
    literals: tuple[LiteralSize, ...] = ()
    asked: bool = True
    """Whether the model's code may do something else in the other mode."""


def _alike(one: _Pass, other: _Pass) -> bool:
    return repeats(one.program, other.program, one.literals, other.literals)


@frozen(eq=False)
class _Trial:
    """A model as it is now, and what it is called with."""

    module: nn.Module
    snapshot: Snapshot
    named: Mapping[str, Tensor]
    arguments: Arguments

    def passes(self, modes: Sequence[str], literals: bool, notes: list[str]) -> dict[str, _Pass]:
        """Record a pass per mode; one in training is left out where it fails or tells nothing new."""
        found: dict[str, _Pass] = {}
        for mode in sorted(set(modes)):
            if "eval" in found and not found["eval"].asked:
                continue
            try:
                found[mode] = self.best(mode, literals, notes)
            except Exception as error:
                if not found:
                    raise TraceError(_failure(self.module, mode, error)) from error
                notes.append(f"the training pass was left out: {_shown(error)}")
        if len(found) == 2 and _alike(found["train"], found["eval"]):
            del found["train"]
        return found

    def best(self, mode: str, literals: bool, notes: list[str]) -> _Pass:
        """Record one pass; where it fails, try plain integers, then, in training, a batch of two."""
        errors: list[Exception] = []
        for trial in self._variants(mode):
            refused = ""
            for tracked in (True, False) if literals else (False,):
                try:
                    found = trial.record(mode, tracked)
                except Exception as error:
                    errors.append(error)
                    refused = _shown(error)
                    continue
                if refused:
                    notes.append(f"sizes in the code were not looked for in the {mode} pass: {refused}")
                return found
        raise errors[int(literals)]  # with plain integers, on the inputs as they are

    def _variants(self, mode: str) -> Iterator[_Trial]:
        yield self
        two = self.arguments.doubled() if mode == "train" else None
        if two is not None:
            yield evolve(self, arguments=two)

    def record(self, mode: str, literals: bool) -> _Pass:
        """Run the model once, put everything back, and return what was recorded."""
        with untouched(self.snapshot), plainly():
            set_mode(self.module, mode)
            recorder = Recorder(self.module, self.named, self.snapshot.guard)
            book = SizeBook(mode, recorder.tape, recorder.scopes) if literals else None
            fresh = self.arguments.fresh()
            with ExitStack() as stack:
                if book is not None:
                    stack.enter_context(tracked_attributes(book))
                    stack.callback(book.close)
                stack.enter_context(recorder)
                stack.enter_context(Listener(recorder, book))
                watch = stack.enter_context(watched(module for _, module in recorder.scopes.modules))
                output = fresh.call(self.module)
            recorder.finish(output)
        script = Script(tuple(recorder.sequence), tuple(recorder.modules), dict(recorder.tape.origins))
        return _Pass(recorder.program, script, tuple(book.literals) if book is not None else (), watch.asked)


def _failure(module: nn.Module, mode: str, error: Exception) -> str:
    name = {"eval": "evaluation", "train": "training"}[mode]
    return f"{type(module).__name__} does not run on the example inputs in {name} mode: {_shown(error)}"


def _shown(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
