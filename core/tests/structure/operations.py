"""Runs each kind of operation: the sizes it takes from the code come from a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from pruners.structure.program import Op

from . import kernels
from .interpreter import Arrays, Run, kernel


@kernel("elementwise")
def _elementwise(run: Run, op: Op, inputs: Arrays) -> Arrays:
    function = op.options["function"]
    if function == "alias":
        return inputs
    scalar = [op.options["scalar"]] if "scalar" in op.options else []
    return [kernels.FUNCTIONS[function](*inputs, *scalar)]


@kernel("conv")
def _conv(run: Run, op: Op, inputs: Arrays) -> Arrays:
    x, weight, bias = (*inputs, np.zeros(0))[:3]
    if op.options["transposed"]:
        groups = op.options["groups"]
        run.macs += kernels.multiplications(weight, x)
        out = kernels.convolve_transposed(x, weight, groups, op.options)
    else:
        groups = x.shape[1] // max(weight.shape[1], 1)
        out = kernels.convolve(x, weight, groups, op.options)
        run.macs += kernels.multiplications(weight, out)
    return [out + kernels.along_axis(bias, 1, out.ndim) if bias.size else out]


@kernel("contract")
def _contract(run: Run, op: Op, inputs: Arrays) -> Arrays:
    spec = op.options["spec"]
    lengths: dict[str, int] = {}
    for letters, array in zip(spec.split("->")[0].split(","), inputs, strict=True):
        lengths.update(zip(letters, array.shape, strict=True))
    run.macs += int(np.prod(list(lengths.values()), dtype=int))
    return [np.einsum(spec, *inputs)]


@kernel("attention")
def _attention(run: Run, op: Op, inputs: Arrays) -> Arrays:
    q, k, v, mask = (*inputs, np.zeros(0))[:4]
    width = run.program.shapes[op.inputs[0]][-1]
    scale = op.options["scale"] or 1 / np.sqrt(width)
    run.macs += q.size * k.shape[-2] + q[..., 0].size * k.shape[-2] * v.shape[-1]
    return [kernels.attend(q, k, v, mask if mask.size else None, scale)]


def _over(x: np.ndarray, kept: Mapping[int, np.ndarray], compute: Callable[..., np.ndarray]) -> np.ndarray:
    """Compute on the kept coordinates alone; the others are zero afterwards."""
    grid = np.ix_(*(kept.get(axis, np.arange(length)) for axis, length in enumerate(x.shape)))
    out = np.zeros_like(x)
    out[grid] = compute(x[grid])
    return out


def _given(op: Op, inputs: Arrays, own: np.ndarray | None = None) -> dict[str, np.ndarray]:
    found = dict(zip(op.options["names"], inputs[1:], strict=True))
    return found if own is None else {name: vector[own] for name, vector in found.items()}


@kernel("batch_norm")
def _batch_norm(run: Run, op: Op, inputs: Arrays) -> Arrays:
    x, batch = inputs[0], op.options["batch_statistics"]
    kept = run.kept(op, [axis for axis in range(x.ndim) if axis != 1]) if batch else {}
    return [_over(x, kept, lambda part: kernels.batch_norm(part, _given(op, inputs), batch))]


@kernel("layer_norm")
def _layer_norm(run: Run, op: Op, inputs: Arrays) -> Arrays:
    x, axes, function = inputs[0], op.options["axes"], op.options["function"]
    kept = run.kept(op, axes)
    own = np.ix_(*(kept.get(axis, np.arange(x.shape[axis])) for axis in axes))
    return [_over(x, kept, lambda part: kernels.layer_norm(part, _given(op, inputs, own), axes, function))]


@kernel("group_norm")
def _group_norm(run: Run, op: Op, inputs: Arrays) -> Arrays:
    x, groups = inputs[0], op.options["groups"]
    kept = run.kept(op, range(1, x.ndim))
    own = kept.get(1, np.arange(x.shape[1]))
    return [_over(x, kept, lambda part: kernels.group_norm(part, _given(op, inputs, own), groups))]


@kernel("reduce")
def _reduce(run: Run, op: Op, inputs: Arrays) -> Arrays:
    function = {"sum": np.sum, "mean": np.mean, "amax": np.max}[op.options["function"]]
    return [function(inputs[0], axis=tuple(op.options["axes"]), keepdims=op.options["keepdims"])]


@kernel("along")
def _along(run: Run, op: Op, inputs: Arrays) -> Arrays:
    axes = op.options["axes"]
    functions: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "softmax": lambda x: kernels.softmax(x, axes),
        "cumsum": lambda x: np.cumsum(x, axes[0]),
        "roll": lambda x: np.roll(x, 1, axes[0]),
    }
    return [functions[op.options["function"]](inputs[0])]


@kernel("window")
def _window(run: Run, op: Op, inputs: Arrays) -> Arrays:
    return [kernels.average_pool(inputs[0], op.options["axes"])]


@kernel("reshape")
def _reshape(run: Run, op: Op, inputs: Arrays) -> Arrays:
    return [inputs[0].reshape(run.sizes.shape(op.outputs[0]))]


@kernel("transpose")
def _transpose(run: Run, op: Op, inputs: Arrays) -> Arrays:
    return [inputs[0].transpose(op.options["axes"])]


@kernel("squeeze")
def _squeeze(run: Run, op: Op, inputs: Arrays) -> Arrays:
    return [np.squeeze(inputs[0], tuple(op.options["axes"]))]


@kernel("unsqueeze")
def _unsqueeze(run: Run, op: Op, inputs: Arrays) -> Arrays:
    return [np.expand_dims(inputs[0], tuple(op.options["axes"]))]


@kernel("expand")
def _expand(run: Run, op: Op, inputs: Arrays) -> Arrays:
    return [np.broadcast_to(inputs[0], run.sizes.shape(op.outputs[0]))]


@kernel("tile")
def _tile(run: Run, op: Op, inputs: Arrays) -> Arrays:
    return [np.tile(inputs[0], op.options["repeats"])]


@kernel("concat")
def _concat(run: Run, op: Op, inputs: Arrays) -> Arrays:
    return [np.concatenate(inputs, op.options["axis"])]


@kernel("stack")
def _stack(run: Run, op: Op, inputs: Arrays) -> Arrays:
    return [np.stack(inputs, op.options["axis"])]


@kernel("split")
def _split(run: Run, op: Op, inputs: Arrays) -> Arrays:
    axis = op.options["axis"]
    ends = np.cumsum([run.sizes.shape(value)[axis] for value in op.outputs])
    return np.split(inputs[0], ends[:-1], axis)


@kernel("slice")
def _slice(run: Run, op: Op, inputs: Arrays) -> Arrays:
    axis, x = op.options["axis"], op.inputs[0]
    start, stop = (run.sizes.count(x, axis, 0, op.options[name]) for name in ("start", "stop"))
    return [inputs[0][(slice(None),) * axis + (slice(start, stop, op.options["step"]),)]]


@kernel("flip")
def _flip(run: Run, op: Op, inputs: Arrays) -> Arrays:
    return [np.flip(inputs[0], tuple(op.options["axes"]))]


@kernel("select")
def _select(run: Run, op: Op, inputs: Arrays) -> Arrays:
    axis, places = op.options["axis"], op.options["places"]
    return [np.take(inputs[0], place, axis) for place in places]


@kernel("pad")
def _pad(run: Run, op: Op, inputs: Arrays) -> Arrays:
    out = op.outputs[0]
    widths = []
    for axis, (before, after) in enumerate(zip(op.options["before"], op.options["after"], strict=True)):
        length = run.program.shapes[out][axis]
        widths.append(
            (run.sizes.count(out, axis, 0, before), run.sizes.count(out, axis, length - after, length))
        )
    return [np.pad(inputs[0], widths)]


@kernel("gather")
def _gather(run: Run, op: Op, inputs: Arrays) -> Arrays:
    x, index = inputs
    return [np.take(x, index.astype(int), op.options["axes"][0])]


@kernel("embedding")
def _embedding(run: Run, op: Op, inputs: Arrays) -> Arrays:
    index, weight = inputs
    return [weight[index.astype(int)]]


@kernel("write")
def _write(run: Run, op: Op, inputs: Arrays) -> Arrays:
    inputs[0][...] = inputs[1]
    return inputs[:1]


@kernel("scatter")
def _scatter(run: Run, op: Op, inputs: Arrays) -> Arrays:
    destination, source, index = inputs
    out = np.array(destination)
    out[(slice(None),) * op.options["axes"][-1] + (index.astype(int),)] = source
    return [out]


@kernel("pixel_shuffle")
def _pixel_shuffle(run: Run, op: Op, inputs: Arrays) -> Arrays:
    return [kernels.pixel_shuffle(inputs[0], op.options["factor"])]


@kernel("unfold")
def _unfold(run: Run, op: Op, inputs: Arrays) -> Arrays:
    return [kernels.unfold(inputs[0], op.options["kernel"])]


@kernel("fold")
def _fold(run: Run, op: Op, inputs: Arrays) -> Arrays:
    return [kernels.fold(inputs[0], op.options["kernel"], run.program.shapes[op.outputs[0]][2:])]


@kernel("like")
def _like(run: Run, op: Op, inputs: Arrays) -> Arrays:
    return [np.full(inputs[0].shape, op.options["fill"])]
