"""Operators that reduce axes, or mix the coordinates along them."""

from __future__ import annotations

from .steps import Step, UnusualError, translates

_SUMS = "sum mean max min prod nansum nanprod"
_NUMPY = "_np_sum _np_max _np_min _np_prod _np_all _np_any _npi_mean _npi_std _npi_var _npi_norm"


def reduced(step: Step, axes: tuple[int, ...], name: str, inputs: tuple[int, ...]) -> None:
    """Write down a reduction; one over everything has a single coordinate left in MXNet's older arrays."""
    rank = len(step.shape)
    keepdims = len(step.out) == rank and bool(rank)
    kept = [1 if axis in axes else n for axis, n in enumerate(step.shape)]
    if keepdims and tuple(kept) == step.out:
        found = [
            step.do("reduce", inputs, kept, axes=axes, keepdims=True, function=name) for _ in step.shapes
        ]
    else:
        left = [n for axis, n in enumerate(step.shape) if axis not in axes]
        found = [
            step.do("reduce", inputs, left, axes=axes, keepdims=False, function=name) for _ in step.shapes
        ]
        if not left and step.out == (1,):
            found = [step.do("unsqueeze", [value], (1,), axes=(0,)) for value in found]
    step.give(*found)


@translates(*_SUMS.split(), "norm", "_square_sum", *_NUMPY.split(), "moments")
def _reduce(step: Step) -> None:
    axes = step.axes("axes" if step.node.op == "moments" else "axis")
    if step.flag("exclude") and step.get("axis") not in (None, (), []):
        axes = tuple(axis for axis in range(len(step.shape)) if axis not in axes)
    name = step.node.op.rpartition("_")[2]
    reduced(step, axes, name, step.inputs)


@translates("argmax", "argmin", "_npi_argmax", "_npi_argmin", "argmax_channel")
def _place_of(step: Step) -> None:
    axes = (1,) if step.node.op == "argmax_channel" else step.axes()
    reduced(step, axes, step.node.op.rpartition("_")[2], step.inputs)


@translates("pick")
def _pick(step: Step) -> None:
    """One coordinate of an axis for each of the others."""
    x, index = step.inputs
    axis = step.axis(-1)
    others = [each for each in range(len(step.shape)) if each != axis]
    keepdims = step.flag("keepdims") and len(step.out) == len(step.shape)
    result = tuple(None if each == axis else each for each in range(len(step.shape)))
    if len(step.out) != len(others) + keepdims:
        raise UnusualError("shape")
    step.write("gather", [x, index], axes=(axis,), result=result if keepdims else tuple(others))


@translates("softmax", "log_softmax", "softmin", "SoftmaxActivation", "SoftmaxOutput", "Softmax")
def _softmax(step: Step) -> None:
    rank = len(step.shape)
    if step.node.op == "SoftmaxActivation":
        axes = (1,) if step.get("mode") == "channel" else tuple(range(1, rank))
    elif step.node.op == "SoftmaxOutput":
        wide = step.flag("multi_output")
        axes = (1,) if wide else (rank - 1,) if step.flag("preserve_shape") else tuple(range(1, rank))
    else:
        axes = (step.axis(-1),)
    step.write("along", axes=axes, function=step.node.op)


@translates("sort", "argsort", "topk", "_np_cumsum", "_np_roll", "_npi_diff")
def _along(step: Step) -> None:
    """Outputs have the rank of the input; an axis of None is all of them, laid out as one."""
    names = {"_np_cumsum": "cumsum", "_np_roll": "roll"}
    missing = -1 if step.node.op in ("sort", "argsort", "topk", "_npi_diff") else None
    given = step.get("axis", missing)
    if given is None:
        axes = tuple(range(len(step.shape)))
        if len(step.out) != len(step.shape):
            raise UnusualError("axis")
    else:
        axes = step.axes() if "axis" in step.settings else (len(step.shape) - 1,)
    step.write("along", axes=axes, function=names.get(step.node.op, step.node.op))


@translates("_npi_tril")
def _triangle(step: Step) -> None:
    rank = len(step.shape)
    step.write("along", axes=(rank - 2, rank - 1), function="tril")


@translates("SequenceMask", "SequenceReverse", "SequenceLast")
def _sequences(step: Step) -> None:
    """Steps of a sequence, and which of them count."""
    at = int(step.integer("axis", 0))
    if step.node.op == "SequenceLast":
        rest = tuple(axis for axis in range(len(step.shape)) if axis != at)
        step.write("gather", axes=(at,), result=rest)
    else:
        step.write("along", axes=(0, 1), function=step.node.op)
