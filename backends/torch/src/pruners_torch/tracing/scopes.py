"""Which module is running, and what each module with parameters read and gave."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from attrs import define, field
from torch import Tensor, nn
from torch.nn.utils import parametrize

from pruners.structure.program import NONE

from .results import tensors_in
from .tape import Tape


@define(eq=False)
class Scopes:
    """The modules of one model that are running now, outermost first."""

    model: nn.Module
    tape: Tape
    name: str = ""
    """The innermost running module's name, ``"layer1.0.conv1"``."""
    module: nn.Module = field(init=False)
    """The innermost running module."""
    modules: Sequence[tuple[str, nn.Module]] = ()
    """Every module of the model with its first name."""
    _names: dict[int, str] = field(factory=dict)
    _owners: frozenset[int] = frozenset()

    def __attrs_post_init__(self) -> None:
        self.modules = list(self.model.named_modules())
        self.module = self.model
        self._names = {id(module): name for name, module in self.modules}
        self._owners = frozenset(id(module) for _, module in self.modules if _owns(module))

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Follow the calls of the model's modules, for as long as a block runs; no module is changed."""
        call, names, owners = nn.Module.__call__, self._names, self._owners

        def followed(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            name = names.get(id(module))
            if name is None:  # another model's
                return call(module, *args, **kwargs)
            outer, self.name, self.module = (self.name, self.module), name, module
            try:
                if id(module) not in owners:
                    return call(module, *args, **kwargs)
                return self._noted(call, module, args, kwargs)
            finally:
                self.name, self.module = outer

        nn.Module.__call__ = followed  # type: ignore[method-assign]
        try:
            yield
        finally:
            nn.Module.__call__ = call  # type: ignore[method-assign]

    def _noted(self, call: Any, module: nn.Module, args: Any, kwargs: Any) -> Any:
        """Call a module and note what it read first and what it gave first."""
        tape, name = self.tape, self.name
        first = _first(args) if args else None
        value, start = None if first is None else tape.number(first), len(tape.program.ops)
        output = call(module, *args, **kwargs)
        given = _first(output)
        if value is None:
            value = self._read_since(start)
        if given is not None and value is not None:
            tape.program.call(name, value, tape.number(given))
        return output

    def _read_since(self, start: int) -> int | None:
        """Return the first value read since an operation that is no parameter."""
        parameters = set(self.tape.program.parameters.values())
        read = (value for op in self.tape.program.ops[start:] for value in op.inputs)
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
