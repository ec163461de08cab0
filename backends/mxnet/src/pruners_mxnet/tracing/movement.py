"""Operators that move coordinates, repeat them, or join and part arrays."""

from __future__ import annotations

from collections.abc import Sequence

from .steps import Step, UnusualError, translates


@translates("transpose", "_np_transpose")
def _transpose(step: Step) -> None:
    rank = len(step.shape)
    axes = step.get("axes")
    order = step.axes("axes") if axes not in (None, (), []) else tuple(reversed(range(rank)))
    step.write("transpose", axes=order)


@translates("SwapAxis")
def _swap(step: Step) -> None:
    first, second = step.axis(0, "dim1"), step.axis(0, "dim2")
    order = list(range(len(step.shape)))
    order[first], order[second] = order[second], order[first]
    step.write("transpose", axes=tuple(order))


@translates("_np_moveaxis")
def _move(step: Step) -> None:
    rank = len(step.shape)
    sources, targets = (step.axes(name) for name in ("source", "destination"))
    order = [axis for axis in range(rank) if axis not in sources]
    for target, source in sorted(zip(targets, sources, strict=True)):
        order.insert(target, source)
    step.write("transpose", axes=tuple(order))


@translates("expand_dims")
def _expand_dims(step: Step) -> None:
    step.write("unsqueeze", axes=(step.axis(rank=len(step.shape) + 1),))


@translates("squeeze", "_np_squeeze")
def _squeeze(step: Step) -> None:
    shape = step.shape
    given = step.get("axis")
    axes = tuple(axis for axis, length in enumerate(shape) if length == 1) if given is None else step.axes()
    if len(axes) == len(shape) and len(step.out) == 1:
        axes = axes[1:]  # older arrays keep one axis
    step.write("squeeze", axes=axes)


@translates("broadcast_to", "_npi_broadcast_to")
def _broadcast_to(step: Step) -> None:
    """A target of 0 copies the length; any other is written in the code."""
    step.write("expand")
    target = step.integers("shape")
    for axis, size in enumerate(target):
        if size > 0 and len(target) == len(step.out):
            step.literal(size, step.outputs[0], axis)


@translates("broadcast_axis")
def _broadcast_axis(step: Step) -> None:
    step.write("expand")


@translates("broadcast_like")
def _broadcast_like(step: Step) -> None:
    if any(step.get(name) is not None for name in ("lhs_axes", "rhs_axes")):
        raise UnusualError("lhs_axes")
    made = step.do("expand", step.inputs[:1], step.out)
    step.write("elementwise", [made, step.inputs[1]], function="copysign")


@translates("tile")
def _tile(step: Step) -> None:
    x, repeats = step.inputs[0], tuple(int(each) for each in step.integers("reps"))
    repeats = (1,) * (len(step.out) - len(repeats)) + repeats
    step.write("tile", [x], repeats=repeats)


@translates("repeat")
def _repeat(step: Step) -> None:
    """Each coordinate several times in a row."""
    x, shape, times = step.inputs[0], step.shape, int(step.integer("repeats"))
    if step.get("axis") is None:
        shape = (_count(shape),)
        x, axis = step.do("reshape", [x], shape), 0
    else:
        axis = step.axis()
    single = (*shape[: axis + 1], 1, *shape[axis + 1 :])
    several = (*shape[: axis + 1], times, *shape[axis + 1 :])
    x = step.do("unsqueeze", [x], single, axes=(axis + 1,))
    step.write("reshape", [step.do("expand", [x], several)])


def _count(shape: Sequence[int]) -> int:
    count = 1
    for length in shape:
        count *= length
    return count


@translates("reverse", "_npi_flip")
def _flip(step: Step) -> None:
    step.write("flip", axes=step.axes())


@translates("Pad", "_npi_pad")
def _pad(step: Step) -> None:
    width = step.get("pad_width")
    if step.node.op == "Pad":
        pairs = [tuple(width[at : at + 2]) for at in range(0, len(width), 2)]
    elif isinstance(width, (tuple, list)) and all(isinstance(each, (tuple, list)) for each in width):
        pairs = [tuple(each) for each in width]
    else:
        raise UnusualError("pad_width")
    if len(pairs) != len(step.shape):
        raise UnusualError("pad_width")
    mode, filling = step.get("mode", "constant"), step.get("constant_value", 0)
    if mode == "constant" and not filling:
        step.write("pad", before=tuple(a for a, _ in pairs), after=tuple(b for _, b in pairs))
    else:
        axes = tuple(axis for axis, pair in enumerate(pairs) if any(pair))
        step.write("window", axes=axes, function="pad")


@translates("Concat", "_npi_concatenate")
def _concat(step: Step) -> None:
    name = "dim" if step.node.op == "Concat" else "axis"
    if step.get(name, 0) is None:
        raise UnusualError(name)
    step.write("concat", axis=step.axis(1 if name == "dim" else 0, name))


@translates("_npi_hstack")
def _hstack(step: Step) -> None:
    if not step.shape:
        raise UnusualError("numbers")
    step.write("concat", axis=0 if len(step.shape) == 1 else 1)


@translates("_npi_vstack")
def _vstack(step: Step) -> None:
    if len(step.shape) < 2:
        raise UnusualError("vectors")
    step.write("concat", axis=0)


@translates("stack", "_npi_stack")
def _stack(step: Step) -> None:
    step.write("stack", axis=step.axis(0, rank=len(step.out)))


@translates("im2col")
def _im2col(step: Step) -> None:
    step.write("unfold")


@translates("col2im")
def _col2im(step: Step) -> None:
    step.write("fold")
