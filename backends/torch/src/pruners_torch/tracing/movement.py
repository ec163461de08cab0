"""Operations that move coordinates without changing them."""

from __future__ import annotations

from torch import Tensor

from .arithmetic import elementwise, opaque
from .steps import Step, translates
from .tape import Tape


@translates("view", "_unsafe_view", "reshape", "_reshape_alias", "unflatten", "flatten", "_reshape")
def _reshape(tape: Tape, step: Step) -> None:
    x, result = step.arguments["self"], step.results[0]
    if x.dtype != result.dtype:
        (elementwise if x.shape == result.shape else opaque)(tape, step)
        return
    tape.write("reshape", [x], [result])


@translates("view_as_real")
def _view_as_real(tape: Tape, step: Step) -> None:
    """A complex number becomes an axis of two."""
    x, result = step.arguments["self"], step.results[0]
    single = tape.op("unsqueeze", [tape.number(x)], [(*x.shape, 1)], axes=(x.ndim,))[0]
    tape.write("expand", [single], [result])


@translates("view_as_complex")
def _view_as_complex(tape: Tape, step: Step) -> None:
    tape.write("select", [step.arguments["self"]], step.results, axis=step.rank - 1)


@translates("t", "transpose", "permute", "swapaxes", "swapdims", "movedim", "numpy_T", "mT", "adjoint")
def _transpose(tape: Tape, step: Step) -> None:
    order = list(range(step.rank))
    if "dims" in step.arguments:
        order = [int(axis) % step.rank for axis in step.arguments["dims"]]
    elif "dim0" in step.arguments:
        if order:
            first, second = step.axis("dim0"), step.axis("dim1")
            order[first], order[second] = order[second], order[first]
    else:
        order.reverse()
    tape.write("transpose", [step.arguments["self"]], step.results, axes=tuple(order))


@translates("squeeze")
def _squeeze(tape: Tape, step: Step) -> None:
    x = step.arguments["self"]
    asked = step.axes("dim") if step.arguments.get("dim") is not None else step.axes()
    dropped = tuple(axis for axis in asked if x.shape[axis] == 1)
    tape.write("squeeze", [x], step.results, axes=dropped)


@translates("unsqueeze")
def _unsqueeze(tape: Tape, step: Step) -> None:
    axis = int(step.arguments["dim"]) % (step.rank + 1)
    tape.write("unsqueeze", [step.arguments["self"]], step.results, axes=(axis,))


@translates("expand", "expand_as", "broadcast_to")
def _expand(tape: Tape, step: Step) -> None:
    tape.write("expand", [step.arguments["self"]], step.results)


@translates("repeat", "tile")
def _repeat(tape: Tape, step: Step) -> None:
    given = tuple(int(times) for times in step.arguments.get("repeats", step.arguments.get("dims", ())))
    repeats = (1,) * (step.results[0].ndim - len(given)) + given
    tape.write("tile", [step.arguments["self"]], step.results, repeats=repeats)


@translates("cat", "concat", "concatenate", "_cat")
def _cat(tape: Tape, step: Step) -> None:
    result = step.results[0]
    parts = [part for part in step.arguments["tensors"] if part.ndim == result.ndim]
    axis = int(step.arguments["dim"]) % max(result.ndim, 1)
    tape.write("concat", parts, [result], axis=axis)


@translates("stack")
def _stack(tape: Tape, step: Step) -> None:
    axis = int(step.arguments["dim"]) % step.results[0].ndim
    tape.write("stack", step.arguments["tensors"], step.results, axis=axis)


_SPLITS = "split split_with_sizes chunk tensor_split unsafe_split unsafe_split_with_sizes unsafe_chunk"


@translates(*_SPLITS.split())
def _split(tape: Tape, step: Step) -> None:
    axis, parts = step.axis(), step.results
    sizes = tuple(part.shape[axis] for part in parts)
    tape.write("split", [step.arguments["self"]], parts, axis=axis, sizes=sizes)


@translates("unbind", "select")
def _select(tape: Tape, step: Step) -> None:
    tape.write("select", [step.arguments["self"]], step.results, axis=step.axis())


@translates("slice")
def _slice(tape: Tape, step: Step) -> None:
    x, axis = step.arguments["self"], step.axis()
    tape.write("slice", [x], step.results, axis=axis, **_bounds(step, x.shape[axis]))


def _bounds(step: Step, length: int) -> dict[str, int]:
    given = slice(step.arguments.get("start"), step.arguments.get("end"), step.arguments.get("step", 1))
    start, stop, stride = given.indices(length)
    return {"start": start, "stop": max(start, stop), "step": stride}


@translates("narrow")
def _narrow(tape: Tape, step: Step) -> None:
    start, axis = int(step.arguments["start"]), step.axis()
    start %= max(step.arguments["self"].shape[axis], 1)
    stop = start + int(step.arguments["length"])
    tape.write("slice", [step.arguments["self"]], step.results, axis=axis, start=start, stop=stop, step=1)


@translates("slice_scatter")
def _slice_scatter(tape: Tape, step: Step) -> None:
    """A copy with a slice written over: the slice's labels are the copy's."""
    x, axis = step.arguments["self"], step.axis()
    bounds = _bounds(step, x.shape[axis])
    source = step.arguments["src"]
    part = tape.op("slice", [tape.number(x)], [source.shape], axis=axis, **bounds)[0]
    tape.op("write", [part, tape.number(source)], [source.shape])
    tape.write("elementwise", [x], step.results, function="clone")


@translates("select_scatter")
def _select_scatter(tape: Tape, step: Step) -> None:
    x, source, axis = step.arguments["self"], step.arguments["src"], step.axis()
    part = tape.op("select", [tape.number(x)], [source.shape], axis=axis)[0]
    tape.op("write", [part, tape.number(source)], [source.shape])
    tape.write("elementwise", [x], step.results, function="clone")


@translates("flip")
def _flip(tape: Tape, step: Step) -> None:
    tape.write("flip", [step.arguments["self"]], step.results, axes=step.axes("dims"))


@translates("roll")
def _roll(tape: Tape, step: Step) -> None:
    tape.write("along", [step.arguments["self"]], step.results, axes=step.axes("dims"), function="roll")


@translates("constant_pad_nd")
def _pad(tape: Tape, step: Step) -> None:
    x = step.arguments["self"]
    amounts = [int(amount) for amount in step.arguments["pad"]]
    before = [0] * (x.ndim - len(amounts) // 2) + amounts[0::2][::-1]
    after = [0] * (x.ndim - len(amounts) // 2) + amounts[1::2][::-1]
    if step.arguments.get("value", 0) == 0:
        tape.write("pad", [x], step.results, before=tuple(before), after=tuple(after))
        return
    padded = tuple(axis for axis in range(x.ndim) if before[axis] or after[axis])
    tape.write("window", [x], step.results, axes=padded, function="pad")


@translates("as_strided")
def _as_strided(tape: Tape, step: Step) -> None:
    x, result = step.arguments["self"], step.results[0]
    laid_out = [(each.shape, each.stride(), each.storage_offset()) for each in (x, result)]
    (elementwise if laid_out[0] == laid_out[1] else opaque)(tape, step)


@translates("unfold")
def _sliding(tape: Tape, step: Step) -> None:
    """Windows that slide along an axis become a new last axis."""
    axis = int(step.arguments["dimension"]) % max(step.rank, 1)
    kept = [None if index == axis else index for index in range(step.rank)]
    tape.write("gather", [step.arguments["self"]], step.results, axes=(axis,), result=(*kept, None))


@translates("copy")
def _copy(tape: Tape, step: Step) -> None:
    tape.write("write", [step.arguments["self"], step.arguments["src"]], step.results)


@translates("repeat_interleave")
def _repeat_interleave(tape: Tape, step: Step) -> None:
    x, repeats, axis = step.arguments.get("self"), step.arguments.get("repeats"), step.arguments.get("dim")
    if not isinstance(x, Tensor) or not isinstance(repeats, int) or axis is None:
        opaque(tape, step)
        return
    interleave(tape, x, int(repeats), int(axis) % x.ndim, step.results[0])


def interleave(tape: Tape, x: Tensor, repeats: int, axis: int, result: Tensor) -> None:
    """Write down that every coordinate of an axis is repeated: stretched, then merged."""
    split = (*x.shape[: axis + 1], 1, *x.shape[axis + 1 :])
    stretched = (*x.shape[: axis + 1], repeats, *x.shape[axis + 1 :])
    single = tape.op("unsqueeze", [tape.number(x)], [split], axes=(axis + 1,))
    wide = tape.op("expand", single, [stretched])
    tape.write("reshape", list(wide), [result])


@translates("pixel_shuffle", "pixel_unshuffle")
def _pixel_shuffle(tape: Tape, step: Step) -> None:
    x = step.arguments["self"]
    if x.ndim != 4:
        opaque(tape, step)
        return
    upscale = step.arguments.get("upscale_factor")
    factor = int(upscale) if upscale is not None else -int(step.arguments["downscale_factor"])
    tape.write("pixel_shuffle", [x], step.results, factor=factor)


@translates("channel_shuffle", "native_channel_shuffle")
def _channel_shuffle(tape: Tape, step: Step) -> None:
    """Groups become the inner axis: parted, exchanged, merged."""
    x, groups = step.arguments["self"], int(step.arguments["groups"])
    batch, channels, *rest = x.shape
    width = channels // groups
    parted = tape.op("reshape", [tape.number(x)], [(batch, groups, width, *rest)])
    order = (0, 2, 1, *range(3, 3 + len(rest)))
    swapped = tape.op("transpose", parted, [(batch, width, groups, *rest)], axes=order)
    tape.write("reshape", list(swapped), step.results)
