"""Convolutions, dense layers, norms, pooling, resizing, recurrent layers."""

from __future__ import annotations

from collections.abc import Sequence

from .steps import Step, UnusualError, translates


def moved(step: Step, value: int, source: int, target: int) -> int:
    """Write down that an axis is moved to another place; return the result."""
    shape = step.tape.shape(value)
    axes = [axis for axis in range(len(shape)) if axis != source]
    axes.insert(target, source)
    if axes == sorted(axes):
        return value
    return step.do("transpose", [value], [shape[axis] for axis in axes], axes=tuple(axes))


def _channels_last(step: Step, rank: int) -> bool:
    layout = step.get("layout")
    if layout in (None, "None") or layout.startswith("NC"):
        return False
    if layout.startswith("N") and layout.endswith("C") and len(layout) == rank:
        return True
    raise UnusualError("layout")


def _several(step: Step, name: str, default: int, count: int) -> tuple[int, ...]:
    found = tuple(int(each) for each in step.integers(name, ()))
    return found or (default,) * count


@translates("Convolution", "Deconvolution")
def _convolution(step: Step) -> None:
    """Write down a convolution with its channels first, whatever the layout."""
    x, weight, *bias = step.inputs
    rank = len(step.shape)
    last, transposed = _channels_last(step, rank), step.node.op == "Deconvolution"
    if transposed and step.get("target_shape") not in (None, (), (0,) * (rank - 2)):
        raise UnusualError("target_shape")
    groups = step.integer("num_group", 1)
    if last:
        x, weight = (moved(step, value, rank - 1, 1) for value in (x, weight))
    out = (step.out[0], step.out[-1], *step.out[1:-1]) if last else step.out
    made = step.do(
        "conv",
        [x, weight, *bias],
        out,
        groups=int(groups),
        transposed=transposed,
        stride=_several(step, "stride", 1, rank - 2),
        padding=_several(step, "pad", 0, rank - 2),
        dilation=_several(step, "dilate", 1, rank - 2),
    )
    if not step.owned:
        step.literal(step.integer("num_filter"), made, 1)
        if groups > 1:
            step.literal(groups, x, 1, step=step.tape.shape(x)[1] // groups)
    step.give(moved(step, made, 1, rank - 1) if last else made)


@translates("FullyConnected")
def _dense(step: Step) -> None:
    x, weight, *bias = step.inputs
    shape = step.shape
    if step.flag("flatten", True) and len(shape) != 2:
        shape = (shape[0], step.tape.shape(weight)[1])
        x = step.do("reshape", [x], shape)
    letters = "abcdefgh"[: len(shape) - 1]
    made = step.do("contract", [x, weight], step.out, spec=f"{letters}i,oi->{letters}o")
    if not step.owned:
        step.literal(step.integer("num_hidden"), made, len(step.out) - 1)
    step.give(step.do("elementwise", [made, *bias], step.out, function="add") if bias else made)


@translates("BatchNorm", "_contrib_SyncBatchNorm", "_contrib_BatchNormWithReLU")
def _batch_norm(step: Step) -> None:
    """A fixed scale is one whatever the parameter holds: only its size counts."""
    x, scale, *rest = step.inputs
    rank, axis = len(step.shape), step.axis(1)
    if step.flag("fix_gamma", True):
        scale = step.do("like", [scale], step.tape.shape(scale))
    x = moved(step, x, axis, 1)
    batch = step.tape.mode == "train" and not step.flag("use_global_stats")
    made = step.do("batch_norm", [x, scale, *rest], step.tape.shape(x), batch_statistics=batch)
    if step.node.op.endswith("ReLU"):
        made = step.do("elementwise", [made], step.tape.shape(x), function="relu")
    made = moved(step, made, 1, axis) if rank > 1 else made
    step.give(made, *_ignored(step, 1))


def _ignored(step: Step, start: int) -> list[int]:
    """Return values for outputs that only the operator's gradient reads."""
    return [step.tape.program.source(shape) for shape in step.shapes[start:]]


@translates("LayerNorm")
def _layer_norm(step: Step) -> None:
    made = step.do("layer_norm", step.inputs, step.out, axes=(step.axis(-1),), function="layer_norm")
    step.give(made, *_ignored(step, 1))


@translates("InstanceNorm")
def _instance_norm(step: Step) -> None:
    made = step.do("batch_norm", step.inputs, step.out, batch_statistics=True)
    step.give(made, *_ignored(step, 1))


@translates("GroupNorm")
def _group_norm(step: Step) -> None:
    """Scale and shift are one per channel, or one per group: those stay, as the groups do."""
    x, scale, shift = step.inputs
    groups = int(step.integer("num_groups", 1))
    if step.tape.shape(scale) == (step.shape[1],) and groups != step.shape[1]:
        made = step.do("group_norm", step.inputs, step.out, groups=groups)
    else:
        made = step.do("group_norm", [x], step.out, groups=groups)
        single = [
            step.do("reduce", [value], (), axes=(0,), keepdims=False, function="group")
            for value in (scale, shift)
        ]
        made = step.do("elementwise", [made, *single], step.out, function="group_scale")
    step.give(made, *_ignored(step, 1))


@translates("L2Normalization")
def _l2_normalization(step: Step) -> None:
    rank = len(step.shape)
    spans = {"instance": (1, rank), "channel": (1, 2), "spatial": (2, rank)}
    axes = tuple(range(*spans[step.get("mode", "instance")]))
    shape = [1 if axis in axes else length for axis, length in enumerate(step.shape)]
    norm = step.do("reduce", step.inputs, shape, axes=axes, keepdims=True, function="norm")
    made = step.do("elementwise", [*step.inputs, norm], step.out, function="l2_normalize")
    step.give(made, *_ignored(step, 1))


@translates("LRN")
def _local_response(step: Step) -> None:
    step.give(step.do("along", step.inputs, step.out, axes=(1,)), *_ignored(step, 1))


@translates("Pooling", "Pooling_v1")
def _pooling(step: Step) -> None:
    rank = len(step.shape)
    axes = range(1, rank - 1) if _channels_last(step, rank) else range(2, rank)
    function = f"{step.get('pool_type', 'max')}_pool"
    made = step.do("window", step.inputs, step.out, axes=tuple(axes), function=function)
    step.give(made, *_ignored(step, 1))


@translates("_contrib_AdaptiveAvgPooling2D", "_contrib_BilinearResize2D")
def _resizing(step: Step) -> None:
    step.write("window", axes=(2, 3), function="resize")


@translates("UpSampling")
def _upsampling(step: Step) -> None:
    """Bilinear resizing has a weight, which only repeats itself: it stays whole."""
    if len(step.inputs) > 1:
        step.write("whole", reason="goes through an upsampling with a weight, or of several arrays")
    else:
        step.write("window", axes=(2, 3), function="resize")


@translates("RNN", "_rnn_param_concat")
def _recurrent(step: Step) -> None:
    step.write("whole", reason="goes through a recurrent layer")


_ATTENTION = "goes through an attention that takes its scale from the width of its heads"


@translates(
    "_contrib_interleaved_matmul_selfatt_qk",
    "_contrib_interleaved_matmul_selfatt_valatt",
    "_contrib_interleaved_matmul_encdec_qk",
    "_contrib_interleaved_matmul_encdec_valatt",
)
def _interleaved(step: Step) -> None:
    step.write("whole", reason=_ATTENTION)


@translates("Embedding", "_contrib_SparseEmbedding")
def _embedding(step: Step) -> None:
    step.write("embedding")
    if not step.owned:
        step.literal(step.integer("output_dim"), step.outputs[0], len(step.out) - 1)


@translates("Correlation", "ROIPooling", "_contrib_ROIAlign", "SpatialTransformer", "BilinearSampler")
def _sampled(step: Step) -> None:
    """Pictures read at places that are data."""
    step.write("whole", reason=f"goes through {step.node.op}, which reads pictures at places")


def expanded(step: Step, value: int, rank: int, first: int) -> int:
    """Return a value whose axes start at axis `first` of a result of `rank` axes, with axes behind them."""
    shape: Sequence[int] = step.tape.shape(value)
    behind = rank - first - len(shape)
    if behind <= 0:
        return value
    axes = tuple(range(len(shape), len(shape) + behind))
    return step.do("unsqueeze", [value], [*shape, *[1] * behind], axes=axes)
