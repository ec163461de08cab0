"""Convolutions, norms, attention, pooling and resizing."""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor

from .arithmetic import opaque
from .steps import Step, translates
from .tape import Tape

_POOLS = """max_pool1d max_pool2d max_pool3d max_pool2d_with_indices max_pool3d_with_indices avg_pool1d
    avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d
    adaptive_max_pool2d adaptive_max_pool3d _adaptive_avg_pool2d _adaptive_avg_pool3d fractional_max_pool2d
    fractional_max_pool3d mkldnn_max_pool2d mkldnn_max_pool3d mkldnn_adaptive_avg_pool2d
    max_pool1d_with_indices"""

_RESIZES = """upsample_nearest1d upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d
    _upsample_nearest_exact2d _upsample_nearest_exact3d upsample_linear1d upsample_bilinear2d
    upsample_bicubic2d upsample_trilinear3d _upsample_bilinear2d_aa _upsample_bicubic2d_aa reflection_pad1d
    reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d replication_pad3d"""

_EXTENT = re.compile(r"(\d)d")


_CONVOLUTIONS = "convolution _convolution convolution_overrideable mkldnn_convolution cudnn_convolution"


@translates(*_CONVOLUTIONS.split())
def _convolution(tape: Tape, step: Step) -> None:
    given = step.arguments
    x = given["input"] if "input" in given else given["self"]
    convolution(tape, x, given["weight"], given.get("bias"), step.results[0], given)


def convolution(
    tape: Tape, x: Tensor | int, weight: Tensor, bias: Tensor | None, result: Tensor, given: Any
) -> None:
    """Write down a convolution with the options of `given`."""
    extent = weight.ndim - 2
    tape.write(
        "conv",
        [x, weight, bias],
        [result],
        groups=int(given["groups"]),
        transposed=bool(given.get("transposed", False)),
        stride=_spread(given["stride"], extent),
        padding=_spread(given["padding"], extent),
        dilation=_spread(given["dilation"], extent),
    )


def _spread(given: Any, extent: int) -> tuple[int, ...]:
    listed = (given,) if isinstance(given, int) else tuple(int(each) for each in given)
    return listed * extent if len(listed) == 1 else listed


@translates(
    "native_batch_norm",
    "_native_batch_norm_legit",
    "_native_batch_norm_legit_functional",
    "_native_batch_norm_legit_no_training",
    "_batch_norm_no_update",
    "_batch_norm_with_update",
    "_batch_norm_with_update_functional",
    "_batch_norm_impl_index",
    "cudnn_batch_norm",
    "miopen_batch_norm",
    "batch_norm",
)
def _batch_norm(tape: Tape, step: Step) -> None:
    given = step.arguments
    names = ("weight", "bias", "running_mean", "running_var")
    parameters = [given[name] for name in names if given.get(name) is not None]
    batch = bool(given.get("training", "with_update" in step.name)) and "no_training" not in step.name
    tape.write("batch_norm", [given["input"], *parameters], step.results[:1], batch_statistics=batch)


@translates("native_layer_norm", "layer_norm", "_fused_rms_norm", "rms_norm")
def _layer_norm(tape: Tape, step: Step) -> None:
    given = step.arguments
    layer_norm(
        tape,
        given["input"],
        len(given["normalized_shape"]),
        [given[name] for name in ("weight", "bias") if given.get(name) is not None],
        step.results[0],
        "rms_norm" if "rms" in step.name else "layer_norm",
    )


def layer_norm(
    tape: Tape, x: Tensor, count: int, parameters: list[Tensor], result: Tensor, function: str
) -> None:
    """Write down a normalisation over the last `count` axes."""
    axes = tuple(range(x.ndim - count, x.ndim))
    tape.write("layer_norm", [x, *parameters], [result], axes=axes, function=function)


@translates("native_group_norm", "group_norm")
def _group_norm(tape: Tape, step: Step) -> None:
    given = step.arguments
    parameters = [given[name] for name in ("weight", "bias") if given.get(name) is not None]
    groups = int(given["group"] if "group" in given else given["num_groups"])
    tape.write("group_norm", [given["input"], *parameters], step.results[:1], groups=groups)


@translates(
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_attention_math",
    "_scaled_dot_product_fused_attention_overrideable",
    "scaled_dot_product_attention",
)
def _attention(tape: Tape, step: Step) -> None:
    given = step.arguments
    mask = given.get("attn_mask") if given.get("attn_mask") is not None else given.get("attn_bias")
    operands = given["query"], given["key"], given["value"]
    attention(tape, *operands, mask, given.get("scale"), step.results[0])


def attention(
    tape: Tape,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scale: float | None,
    result: Tensor,
) -> None:
    """Write down scaled dot-product attention; one over (batch, length, width) has one head."""
    operands = [tape.number(each) for each in (query, key, value)]
    masked = tape.number(mask)
    if query.ndim >= 4:
        tape.write("attention", [*operands, masked], [result], scale=scale)
        return
    if query.ndim < 3 or (mask is not None and mask.ndim > 3):
        tape.write("whole", [*operands, masked], [result], reason="goes through an attention of unusual rank")
        return
    shapes = [(each.shape[0], 1, *each.shape[1:]) for each in (query, key, value)]
    tripled = [
        tape.op("unsqueeze", [each], [shape], axes=(1,))[0]
        for each, shape in zip(operands, shapes, strict=True)
    ]
    if mask is not None and mask.ndim == 3:
        masked = tape.op("unsqueeze", [masked], [(mask.shape[0], 1, *mask.shape[1:])], axes=(1,))[0]
    shape = (result.shape[0], 1, *result.shape[1:])
    single = tape.op("attention", [*tripled, masked], [shape], scale=scale)
    tape.write("squeeze", list(single), [result], axes=(1,))


@translates(*_POOLS.split(), *_RESIZES.split())
def _window(tape: Tape, step: Step) -> None:
    """Pooling and resizing: they mix the last axes; places of the largest are laid out as the result."""
    x, results = step.read[0], step.results
    found = _EXTENT.search(step.name)
    extent = int(found.group(1)) if found else 2
    axes = tuple(range(x.ndim - extent, x.ndim))
    alike = [result for result in results if result.shape == results[0].shape]
    tape.write("window", [x], alike, axes=axes, function=step.name.lstrip("_"))


@translates("max_unpool2d", "max_unpool3d")
def _unpool(tape: Tape, step: Step) -> None:
    x, places = step.read[:2]
    extent = 3 if "3d" in step.name else 2
    both = tape.op("elementwise", [tape.number(x), tape.number(places)], [x.shape], function=step.name)
    tape.write("window", list(both), step.results, axes=tuple(range(x.ndim - extent, x.ndim)))


@translates("im2col")
def _im2col(tape: Tape, step: Step) -> None:
    (tape.write if step.rank == 4 else _unbatched(tape))("unfold", step.read[:1], step.results)


@translates("col2im")
def _col2im(tape: Tape, step: Step) -> None:
    (tape.write if step.rank == 3 else _unbatched(tape))("fold", step.read[:1], step.results)


def _unbatched(tape: Tape) -> Any:
    """Return what writes an operation down as one without a rule."""
    return lambda kind, read, results: tape.write("opaque", read, results, function=kind)


@translates("mkldnn_rnn_layer", "lstm", "gru", "rnn_tanh", "rnn_relu", "_thnn_fused_lstm_cell", "_cudnn_rnn")
def _recurrent(tape: Tape, step: Step) -> None:
    tape.write("whole", step.read, step.results, reason="goes through a recurrent layer")


@translates("_embedding_bag", "_embedding_bag_forward_only", "embedding_bag")
def _embedding_bag(tape: Tape, step: Step) -> None:
    """Rows of a table, added up."""
    weight, *indices = step.read
    tape.write("gather", [weight, *indices], step.results[:1], axes=(0,), result=(None, 1))


@translates("quantize_per_tensor", "quantize_per_channel", "dequantize")
def _quantized(tape: Tape, step: Step) -> None:
    opaque(tape, step)
