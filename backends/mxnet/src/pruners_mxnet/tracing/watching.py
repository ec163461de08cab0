"""Watches a model run: which operator came from which line, and what its code handed over."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import mxnet
from attrs import define, field, frozen
from mxnet import autograd
from mxnet.base import MXNetError
from mxnet.ndarray import register
from mxnet.ndarray.ndarray import NDArray
from mxnet.ndarray.numpy import _op as numpy_operators

import pruners
from pruners.structure.program import Arithmetic, Constant

from ..lending import ALONE
from .graph import name_of
from .integers import Length, TrackedInt

_MXNET = str(Path(mxnet.__file__).parent)
_HERE = str(Path(__file__).parent)
_CALLERS = (str(Path(__file__).parents[1]), str(Path(pruners.__file__).parent))
_RANDOM = ("_random_", "_sample_", "_npi_normal", "_npi_uniform", "_npi_bernoulli", "_shuffle", "sample_")


@frozen(eq=False)
class Handed:
    """One operator's settings as the code handed them over, and from where."""

    array: Any
    """Its first output."""
    settings: Mapping[str, Any]
    line: str
    chances: Mapping[str, Any] = field(factory=dict)
    """Settings that were replaced so that no random number was drawn."""


@define(eq=False)
class Watch:
    """What was seen of one forward pass."""

    handed: list[Handed] = field(factory=list)
    used: list[Any] = field(factory=list)
    """Arrays that operators read."""
    read: list[Any] = field(factory=list)
    """Arrays whose numbers the code looked at."""
    fixed: list[tuple[Any, int, str]] = field(factory=list)
    """Sizes that the code made fractions or roots of."""
    lengths: list[tuple[Length, Any, str]] = field(factory=list)
    """Lengths of arrays that the code found equal to something."""
    shapes: list[Any] = field(factory=list)
    """Arrays that the code asked for their shape."""
    seed: int | None = None
    """Set once an operator drew random numbers: what to seed the generators with afterwards."""
    open: bool = True
    _quiet: bool = False
    _paused: bool = False

    def tracked(self, value: int, expression: Any) -> int:
        """Return an integer that remembers an expression."""
        return TrackedInt(value, expression, self)

    def keep(self, expression: Any, value: int) -> None:
        """Note that the user's code made something of a size that only this one fits."""
        if self._asked(sys._getframe(3)):
            self.fixed.append((expression, value, users_line()))

    def equal(self, left: Any, right: Any, value: int) -> None:
        """Note that the user's code found two sizes equal."""
        if left == right or not self._asked(sys._getframe(3)):
            return
        if not isinstance(left, Length) and isinstance(right, Length):
            left, right = right, left
        if isinstance(left, Length):
            self.lengths.append((left, right, users_line()))
        elif isinstance(right, Constant):
            self.fixed.append((left, value, users_line()))
        else:
            self.fixed.append((Arithmetic("-", left, right), 0, users_line()))

    def _asked(self, frame: FrameType) -> bool:
        """Say whether it is the user's code that asks, while the model runs."""
        inner = frame.f_code.co_filename.startswith((_MXNET, _HERE, "<"))
        return self.open and not self._quiet and not inner

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Take no notes for a while."""
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before

    def invoke(self, original: Any) -> Any:
        """Return what runs an operator and takes notes of it."""

        def run(handle: Any, arrays: Any, keys: Any, values: Any, out: Any, numpy: bool, listed: bool) -> Any:
            if self._quiet or not autograd.is_recording():
                return original(handle, arrays, keys, values, out, numpy, listed)
            self.used.extend(arrays)
            op, line = name_of(handle), users_line()
            chances = self._chances(op, dict(zip(keys, values, strict=True)))
            changed = [0 if key in chances else value for key, value in zip(keys, values, strict=True)]
            if out is not None and self._paused:
                with self.silent(), autograd.pause(autograd.is_training()):
                    return original(handle, arrays, keys, changed, out, numpy, listed)
            result = original(handle, arrays, keys, changed, out, numpy, listed)
            first = result[0] if isinstance(result, (list, tuple)) else result
            settings = dict(zip(keys, values, strict=True))
            self.handed.append(Handed(first, settings, line, chances))
            return result

        return run

    def _chances(self, op: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings that make an operator draw random numbers; other draws are made up for."""
        training = autograd.is_training() or settings.get("mode") == "always"
        if op == "Dropout" or (op == "RNN" and "p" in settings):
            return {"p": settings["p"]} if training and "p" in settings else {}
        drawn = op.startswith(_RANDOM) or (op == "LeakyReLU" and settings.get("act_type") == "rrelu")
        if drawn and self.seed is None:
            with self.silent(), autograd.pause(autograd.is_training()):
                self.seed = int(mxnet.nd.random.randint(0, 2**31 - 1, shape=(1,)).asnumpy()[0])
        return {}

    def reshape(self, original: Any) -> Any:
        """Return what reshapes an array and notes the codes that it was asked for."""

        def run(array: Any, *shape: Any, **options: Any) -> Any:
            if self._quiet or isinstance(array, mxnet.np.ndarray):
                return original(array, *shape, **options)
            line = users_line()
            with self.silent():
                result = original(array, *shape, **options)
            asked = options.get("shape", shape[0] if len(shape) == 1 else shape)
            asked = tuple(asked) if isinstance(asked, (tuple, list)) else (asked,)
            settings = {"shape": asked, "reverse": options.get("reverse", False)}
            self.handed.append(Handed(result, settings, line))
            return result

        return run

    def shape(self, original: property) -> property:
        """Return an array's shape, each length remembering its axis."""

        def get(array: Any) -> Any:
            lengths = original.fget(array)  # type: ignore[misc]
            if self._quiet or lengths is None or not self.open:
                return lengths
            self.shapes.append(array)
            return tuple(self.tracked(n, Length(array, axis)) for axis, n in enumerate(lengths))

        return property(get)

    def asnumpy(self, original: Any) -> Any:
        """Return what hands out an array's numbers, and notes it."""

        def run(array: Any) -> Any:
            if not self._quiet:
                self.read.append(array)
            with self.silent():
                return original(array)

        return run

    def product(self, original: Any) -> Any:
        """Return what multiplies two arrays, and notes them: this function runs by another way."""

        def run(left: Any, right: Any, axes: Any) -> Any:
            self.used.extend((left, right))
            return original(left, right, axes)

        return run

    def split(self, original: Any) -> Any:
        """Return what parts an array: equal parts begin at quotients of its length."""

        def run(array: Any, parts: Any, axis: int = 0, *rest: Any, **options: Any) -> Any:
            if type(parts) is int and parts > 0 and array.shape[axis] % parts == 0:
                size = array.shape[axis] // parts
                parts = tuple(size * number for number in range(1, parts))
            return original(array, parts, axis, *rest, **options)

        return run

    def detach(self, original: Any) -> Any:
        """Return what passes an array on without its gradient: recorded as any operator."""

        def run(array: Any) -> Any:
            if self._quiet:
                return original(array)
            if isinstance(array, mxnet.np.ndarray):
                return mxnet.nd.BlockGrad(array.as_nd_ndarray()).as_np_ndarray()
            return mxnet.nd.BlockGrad(array)

        return run

    def inlined(self, original: Any) -> Any:
        """Return what runs a function with a gradient of its own, operator by operator."""

        def run(function: Any, *inputs: Any) -> Any:
            return original(function, *inputs) if self._quiet else function.forward(*inputs)

        return run

    def set_recording(self, original: Any) -> Any:
        """Return what only seems to end the recording; in-place operators run outside of it meanwhile."""

        def run(is_recording: bool) -> bool:
            if self._quiet:
                return bool(original(is_recording))
            before, self._paused = not self._paused, not is_recording
            return before

        return run


@contextmanager
def watching() -> Iterator[Watch]:
    """Watch what runs within; MXNet's own functions are put back afterwards."""
    watch = Watch()
    changes: list[tuple[Any, str, Callable[[Any], Any]]] = [
        (register, "_imperative_invoke", watch.invoke),
        (NDArray, "reshape", watch.reshape),
        (NDArray, "shape", watch.shape),
        (NDArray, "asnumpy", watch.asnumpy),
        (NDArray, "detach", watch.detach),
        (mxnet.np.ndarray, "detach", watch.detach),
        (autograd, "set_recording", watch.set_recording),
        (mxnet.ndarray, "split_v2", watch.split),
        (mxnet.ndarray.numpy, "split", watch.split),
        (autograd.Function, "__call__", watch.inlined),
        (numpy_operators._api_internal, "tensordot", watch.product),
    ]
    with ALONE, ExitStack() as stack:
        for owner, name, change in changes:
            original = vars(owner)[name]
            stack.callback(setattr, owner, name, original)
            setattr(owner, name, change(original))
        try:
            yield watch
        finally:
            watch.open = False


def seed_again(watch: Watch) -> None:
    """Seed the random generators with a number that they gave, where operators drew from them."""
    if watch.seed is not None:
        mxnet.random.seed(watch.seed)


def users_line() -> str:
    """Return ``"file.py:12"`` of the innermost frame that is neither MXNet's nor ours; empty if none is."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        if not path.startswith((_MXNET, _HERE, "<")) and "contextlib" not in path:
            return "" if path.startswith(_CALLERS) else f"{Path(path).name}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def recorded_name(array: Any) -> str:
    """Return the name under which an array was recorded; empty where it was not."""
    try:
        return str(autograd.get_symbol(array).list_outputs()[0])
    except MXNetError:
        return ""
