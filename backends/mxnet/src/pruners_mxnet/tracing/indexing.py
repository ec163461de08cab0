"""Parts of arrays: slices, splits, and arrays read by index."""

from __future__ import annotations

from .integers import TrackedInt, plain
from .steps import Step, UnusualError, translates


def cut(step: Step, value: int, axis: int, start: int, stop: int, stride: int = 1) -> int:
    """Write down a slice of one axis; its bounds are written in the code, unless it is the whole axis."""
    length = step.tape.shape(value)[axis]
    if (plain(start), plain(stop), stride) == (0, length, 1):
        return value
    first, last = plain(start), plain(stop)
    shape = list(step.tape.shape(value))
    shape[axis] = len(range(first, last, stride))
    bound(step, value, axis, start, stop)
    return step.do("slice", [value], shape, axis=axis, start=first, stop=last, step=stride)


def bound(step: Step, value: int, axis: int, start: int, stop: int) -> None:
    """
    Note the bounds of a slice: as many coordinates must lie before it, and in it, as the code says.

    Bounds that do not remember how they came about may have been counted from the end of the axis: then
    all of it stays.
    """
    length = step.tape.shape(value)[axis]
    if all(isinstance(each, TrackedInt) or plain(each) in (0, length) for each in (start, stop)):
        for each in (start, stop):
            if isinstance(each, TrackedInt):
                step.literal(each, value, axis, stop=plain(each))
    else:
        step.keep(value, axis)


@translates("slice")
def _slice(step: Step) -> None:
    begin, end, strides = (step.get(name) for name in ("begin", "end", "step"))
    value = step.inputs[0]
    bounds = [_listed(each) for each in (begin, end, strides)]
    for axis, length in enumerate(step.shape):
        first, last, stride = (each[axis] if axis < len(each) else None for each in bounds)
        stride = 1 if stride in (None, 0) else int(stride)
        if stride < 0:
            value = _backwards(step, value, axis, first, last, stride)
        else:
            value = cut(step, value, axis, _counted(first, 0, length), _counted(last, length, length), stride)
    _same(step, value)


def _listed(given: object) -> tuple[int | None, ...]:
    if given is None:
        return ()
    return tuple(given) if isinstance(given, (tuple, list)) else (given,)  # type: ignore[return-value]


def _counted(bound_: int | None, missing: int, length: int) -> int:
    """Return a bound counted from the front, within the axis."""
    if bound_ is None:
        return missing
    if plain(bound_) < 0:
        return max(0, bound_ + length)
    return bound_ if plain(bound_) <= length else length


def _backwards(step: Step, value: int, axis: int, first: int | None, last: int | None, stride: int) -> int:
    if (first, last, stride) != (None, None, -1):
        raise UnusualError("step")
    return step.do("flip", [value], step.tape.shape(value), axes=(axis,))


def _same(step: Step, value: int) -> None:
    """Let a value be the output; where nothing was cut, a copy of it."""
    if value in step.inputs:
        step.write("elementwise", [value], function="copy")
    else:
        step.give(value)


@translates("slice_axis")
def _slice_axis(step: Step) -> None:
    axis = step.axis()
    length = step.shape[axis]
    start, stop = (
        _counted(step.get(name), missing, length) for name, missing in (("begin", 0), ("end", length))
    )
    _same(step, cut(step, step.inputs[0], axis, start, stop))


@translates("slice_like")
def _slice_like(step: Step) -> None:
    """Cut to the lengths of another array: an axis that is shortened stays whole."""
    value, like = step.inputs
    for axis, length in enumerate(step.out):
        value = cut(step, value, axis, 0, length)
    if step.tape.shape(like) != step.out:
        raise UnusualError("axes")
    step.write("elementwise", [value, like], function="copysign")


@translates("SliceChannel", "_split_v2")
def _split(step: Step) -> None:
    """Equal parts stay equal; other sizes are written in the code."""
    axis = step.axis(1)
    length = step.shape[axis]
    if step.node.op == "SliceChannel" or step.get("sections", 0):
        count = int(step.get("num_outputs") or step.get("sections"))
        sizes = [length // count] * count
    else:
        starts = [*step.integers("indices"), length]
        sizes = [plain(stop) - plain(start) for start, stop in zip(starts, starts[1:], strict=False)]
        if any(size < 0 for size in sizes) or sum(sizes) != length:
            raise UnusualError("indices")
        for start in starts[1:-1]:
            if isinstance(start, TrackedInt):
                step.literal(start, step.inputs[0], axis, stop=plain(start))
            else:
                step.keep(step.inputs[0], axis)
    squeezed = step.flag("squeeze_axis") and len(step.out) < len(step.shape)
    shapes = [[*step.shape[:axis], size, *step.shape[axis + 1 :]] for size in sizes]
    parts = step.tape.op("split", step.inputs, shapes, step.node, axis=axis, sizes=tuple(sizes))
    if squeezed:
        parts = tuple(
            step.do("squeeze", [part], shape, axes=(axis,))
            for part, shape in zip(parts, step.shapes, strict=True)
        )
    step.give(*parts)


@translates("take")
def _take(step: Step) -> None:
    x, indices = step.inputs
    axis = step.axis(0)
    count = len(step.tape.shape(indices))
    rank = len(step.shape)
    result = (*range(axis), *[None] * count, *range(axis + 1, rank))
    step.write("gather", [x, indices], axes=(axis,), result=result)


@translates("gather_nd")
def _gather(step: Step) -> None:
    x, indices = step.inputs
    count, *places = step.tape.shape(indices)
    rest = range(count, len(step.shape))
    step.write("gather", [x, indices], axes=tuple(range(count)), result=(*[None] * len(places), *rest))


@translates("batch_take")
def _batch_take(step: Step) -> None:
    step.write("gather", axes=(0, 1), result=(None,))


@translates("_contrib_boolean_mask")
def _mask(step: Step) -> None:
    step.write("gather", axes=(0,), result=(None, *range(1, len(step.shape))))


@translates("_contrib_index_copy")
def _index_copy(step: Step) -> None:
    x, index, new = step.inputs
    step.write("scatter", [x, new, index], axes=(0,))
