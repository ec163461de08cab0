"""A model's recorded forward passes, one per mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from attrs import field, frozen
from torch import Tensor, nn
from torch._ops import OpOverload

from pruners import OptionError, TraceError
from pruners.protocols import MODES
from pruners.structure.program import Attribute, LiteralSize, Program

from .recorder import Recorder
from .running import Arguments, plainly, set_mode, untouched
from .tape import Origin


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
        A training pass that fails is left out, with a note.
    literals : bool
        Whether sizes in the model's code are looked for.

    Returns
    -------
    Recording
        Programs, and what is needed to meet their values again.

    Raises
    ------
    pruners.TraceError
        If the evaluation pass fails (the cause is chained), or a parameter has no shape yet.
    pruners.OptionError
        If a mode is unknown.
    """
    unknown = [mode for mode in modes if mode not in MODES]
    if unknown:
        raise OptionError(f"modes must be among {', '.join(MODES)}, got {unknown[0]!r}")
    named, names = names_of(module)
    arguments = Arguments.of(example_inputs)
    passes: dict[str, Recorder] = {}
    notes: list[str] = []
    with untouched(module), plainly():
        for mode in sorted(modes):
            try:
                passes[mode] = _record(module, named, arguments, mode)
            except Exception as error:
                if mode == "eval":
                    raise TraceError(_failure(module, error)) from error
                notes.append(f"the training pass was left out: {_shown(error)}")
    return Recording(
        programs={mode: recorder.program for mode, recorder in passes.items()},
        scripts={mode: _script(recorder) for mode, recorder in passes.items()},
        names=names,
        notes=tuple(notes),
    )


def names_of(module: nn.Module) -> tuple[dict[str, Tensor], dict[str, tuple[str, ...]]]:
    """Return parameters and buffers by their first names, and all names of each."""
    named: dict[str, Tensor] = {}
    names: dict[str, tuple[str, ...]] = {}
    first: dict[int, str] = {}
    everything = [
        *module.named_parameters(remove_duplicate=False),
        *module.named_buffers(remove_duplicate=False),
    ]
    for name, tensor in everything:
        if isinstance(tensor, (nn.parameter.UninitializedParameter, nn.parameter.UninitializedBuffer)):
            raise TraceError(f"{name!r} has no shape yet; run the model once on a batch, then trace it")
        known = first.setdefault(id(tensor), name)
        named.setdefault(known, tensor)
        names[known] = (*names.get(known, ()), name)
    return named, names


def _record(module: nn.Module, named: Mapping[str, Tensor], arguments: Arguments, mode: str) -> Recorder:
    """Run a module once and return what was recorded; its state is the caller's to put back."""
    set_mode(module, mode)
    fresh = arguments.fresh()
    recorder = Recorder(module, named)
    with recorder:
        output = fresh.call(module)
    recorder.finish(output)
    torch.clear_autocast_cache()
    return recorder


def _script(recorder: Recorder) -> Script:
    return Script(tuple(recorder.sequence), tuple(recorder.modules), dict(recorder.tape.origins))


def _failure(module: nn.Module, error: Exception) -> str:
    return f"{type(module).__name__} does not run on the example inputs in evaluation mode: {_shown(error)}"


def _shown(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
