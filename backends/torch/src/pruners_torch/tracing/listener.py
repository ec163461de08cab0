"""Hears which functions of PyTorch the model's code calls, before they fall into operations."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any

from torch import Tensor, nn
from torch._ops import OpOverload
from torch.overrides import TorchFunctionMode

from . import multihead
from .integers import TrackedInt, plain
from .literals import READERS
from .macros import MACROS, Macro
from .recorder import Recorder
from .sizes import SizeBook, is_basic

_SHAPE = Tensor.shape.__get__  # type: ignore[attr-defined]
_NAMES: dict[Any, str] = {}


class Listener(TorchFunctionMode):
    """
    While active beside a recorder, composites stay one operation and sizes are noted.

    Parameters
    ----------
    recorder : Recorder
        What writes the operations down.
    book : SizeBook, optional
        What takes note of sizes in the code; None: they are not looked for.
    """

    def __init__(self, recorder: Recorder, book: SizeBook | None = None) -> None:
        super().__init__()
        self._recorder = recorder
        self._book = book
        self._basic: dict[int, bool] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call one function and write down what its operations would not tell."""
        kwargs = kwargs or {}
        name = _NAMES.get(func) or _name(func)
        if name not in _HEARD:
            return func(*args, **kwargs)
        book = None if self._book is None or self._in_basic() else self._book
        if name in _QUESTIONS and book is not None:
            return _QUESTIONS[name](book, args, kwargs)
        if name in _COMPUTING and book is not None:
            _keep(book, (*args, *kwargs.values()))
        if name == multihead.NAME:
            return self._multihead(func, args, kwargs, book)
        macro, reader = MACROS.get(name), READERS.get(name)
        if book is None or reader is None:
            return self._run(name, func, args, kwargs, macro)
        with book.calling(name):
            result = self._run(name, func, *_untracked(func, args, kwargs), macro)
            reader(book, args, kwargs, result)
        return result

    def _in_basic(self) -> bool:
        module: nn.Module = self._recorder.scopes.module
        known = self._basic.get(id(module))
        if known is None:
            known = self._basic[id(module)] = is_basic(module)
        return known

    def _run(self, name: str, func: Any, args: Any, kwargs: Any, macro: Macro | None) -> Any:
        tape = self._recorder.tape
        if macro is None or tape.paused:
            return func(*args, **kwargs)
        with tape.pause():
            result = func(*args, **kwargs)
        self._recorder.stand(f"torch.{name}")
        macro(tape, args, kwargs, result)
        tape.settle()
        return result

    def _multihead(self, func: Any, args: Any, kwargs: Any, book: SizeBook | None) -> Any:
        tape = self._recorder.tape
        start, constants = len(tape.program.ops), len(tape.program.constants)
        given = _untracked(func, args, kwargs)
        result = func(*given[0], **given[1])
        multihead.restore_attention(tape, start)
        if book is not None:
            with book.calling(multihead.NAME):
                multihead.read_sizes(book, args, kwargs, start, constants)
        return result


def _name(function: Any) -> str:
    """Return a function's name; operators are named by their schema."""
    if function == _SHAPE:
        name = "shape"
    elif isinstance(function, OpOverload):
        name = function._schema.name.partition("::")[2]
    else:
        name = getattr(function, "__name__", "") or str(function)
    _NAMES[function] = name
    return name


def _untracked(function: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
    """Return the arguments with plain integers, for functions written in Python: they compare them."""
    if not isinstance(function, FunctionType):
        return args, kwargs
    return tuple(map(_stripped, args)), {name: _stripped(value) for name, value in kwargs.items()}


def _stripped(value: Any) -> Any:
    if isinstance(value, TrackedInt):
        return plain(value)
    if type(value) in (tuple, list) and any(isinstance(each, TrackedInt) for each in value):
        return type(value)(map(_stripped, value))
    return value


Question = Callable[[SizeBook, Any, Any], Any]


def _shape(book: SizeBook, args: Any, kwargs: Any) -> Any:
    return book.shape(args[0])


def _size(book: SizeBook, args: Any, kwargs: Any) -> Any:
    axis = args[1] if len(args) > 1 else kwargs.get("dim")
    return book.shape(args[0]) if axis is None else book.length(args[0], axis)


def _numel(book: SizeBook, args: Any, kwargs: Any) -> Any:
    return functools.reduce(operator.mul, book.shape(args[0]), 1)


_QUESTIONS: dict[str, Question] = {"shape": _shape, "size": _size, "numel": _numel, "nelement": _numel}
_COMPUTING = frozenset(
    name
    for names in (
        "add sub mul div pow remainder add_ sub_ mul_ div_ pow_ true_divide floor_divide divide multiply",
        "__rsub__ __rdiv__ __rpow__ __floordiv__ __rfloordiv__ __mod__ __rmod__",
        "fill_ full full_like new_full tensor as_tensor",
    )
    for name in names.split()
)
"""Functions that compute with a number given to them."""


def _keep(book: SizeBook, given: Iterable[Any]) -> None:
    """Take note of sizes that an operation computes with: they must stay."""
    for each in given:
        if isinstance(each, TrackedInt):
            book.fixed(each.expression, plain(each))
        elif type(each) is list:
            _keep(book, each)


_HEARD = frozenset((*_QUESTIONS, *_COMPUTING, *MACROS, *READERS, multihead.NAME))
