"""Which module is running, and what each module with parameters read and gave."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from attrs import define, field
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.nn.utils import parametrize

from pruners.structure.program import NONE

from .results import tensors_in
from .tape import Tape


class _Running(NamedTuple):
    module: nn.Module
    name: str
    input: int | None
    first: int


@define(eq=False)
class Scopes:
    """The modules of one model that are running now, outermost first."""

    model: nn.Module
    tape: Tape
    _stack: list[_Running] = field(factory=list)
    _names: dict[int, str] = field(factory=dict)
    _owners: frozenset[int] = frozenset()

    def __attrs_post_init__(self) -> None:
        modules = list(self.model.named_modules())
        self._names = {id(module): name for name, module in modules}
        self._owners = frozenset(id(module) for _, module in modules if _owns(module))

    @property
    def name(self) -> str:
        """The innermost running module's name, ``"layer1.0.conv1"``."""
        return self._stack[-1].name if self._stack else ""

    @property
    def module(self) -> nn.Module:
        """The innermost running module."""
        return self._stack[-1].module if self._stack else self.model

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Follow the calls of the model's modules; no module is changed."""
        handles = (
            register_module_forward_pre_hook(self._enter),
            register_module_forward_hook(self._leave),
        )
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            self._stack.clear()

    def _enter(self, module: nn.Module, args: Any) -> None:
        name = self._names.get(id(module))
        if name is None:
            return
        value = None
        if id(module) in self._owners:
            first = _first(args)
            value = None if first is None else self.tape.number(first)
        self._stack.append(_Running(module, name, value, len(self.tape.program.ops)))

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        if id(module) not in self._names:
            return
        running = self._stack.pop()
        while running.module is not module and self._stack:
            running = self._stack.pop()
        if id(module) in self._owners:
            given = _first(output)
            read = running.input if running.input is not None else self._read_since(running.first)
            if given is not None and read is not None:
                self.tape.program.call(running.name, read, self.tape.number(given))

    def _read_since(self, first: int) -> int | None:
        """Return the first value read since an operation that is no parameter."""
        parameters = set(self.tape.program.parameters.values())
        read = (value for op in self.tape.program.ops[first:] for value in op.inputs)
        return next((value for value in read if value != NONE and value not in parameters), None)


def _owns(module: nn.Module) -> bool:
    own = any(parameter is not None for parameter in module._parameters.values())
    return own or parametrize.is_parametrized(module)


def _first(values: Any) -> Tensor | None:
    if isinstance(values, Tensor):
        return values
    if type(values) is tuple and values and isinstance(values[0], Tensor):
        return values[0]
    return next(iter(tensors_in(values)), None)
