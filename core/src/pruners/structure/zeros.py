"""What stands where a coordinate is masked: zero, another number, or perhaps no number at all.

A sum over an axis is the same without a coordinate only if zero is added there. Parameters are zero
where they are masked; this follows what operations make of that, and keeps an axis whole where a
product is summed over it of which no factor is surely zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from .movement import blocks
from .program import NONE, Op

if TYPE_CHECKING:
    from .rules import Walk

ZERO, NUMBER, WILD = range(3)
"""What stands there, the worst last: zero; some number; infinity or no number, perhaps."""

Left = list[int]
"""One of these per axis of a value."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_UNARY = _names(
    """abs alias asin asinh atan bernoulli ceil celu clone conj contiguous detach dropout elu erf expm1
    fake_quantize feature_dropout floor frac gelu hardshrink hardswish hardtanh leaky_relu lift lift_fresh
    lift_fresh_copy log1p mish nan_to_num native_dropout neg positive relu relu6 resolve_conj resolve_neg
    round selu sgn sign silu sin sinh softshrink softsign sqrt square tan tanh tanhshrink to _to_copy trunc"""
)
"""Functions that are zero at zero."""
_FIRST = _names("glu prelu _prelu_kernel rrelu rrelu_with_noise copysign ldexp")
"""Functions that are zero where their first argument is."""
_SUMS = _names("add sub maximum minimum max min fmax fmin lerp hypot logical_or bitwise_or bitwise_xor")
"""Functions that are zero where all of several arguments are."""
_PRODUCTS = _names("mul multiply weight_norm logical_and bitwise_and")
_QUOTIENTS = _names("div divide true_divide floor_divide remainder fmod")
_POLES = _names("log log2 log10 logit reciprocal rsqrt")
_REDUCTIONS = _names(
    """mean sum amax amin max min var std var_mean std_mean prod any all linalg_vector_norm norm nansum
    nanmean median nanmedian mode kthvalue count_nonzero aminmax argmax argmin"""
)
_MIXTURES = _names("cumsum cumprod cummax cummin sort roll tril triu flip")
_REASON = "is summed over in a product of which no factor is zero where a channel is masked"


def start(walk: Walk, parameters: Sequence[int]) -> None:
    """Note that parameters are zero where they are masked; nothing is known of what comes from outside."""
    for value, axes in walk.axes.items():
        walk.left[value] = [NUMBER] * len(axes)
    for value in parameters:
        walk.left[value] = [ZERO] * len(walk.axes[value])


def follow(walk: Walk, op: Op) -> None:
    """Note what stands in the outputs of an operation, and keep what it cannot sum over exactly."""
    found = _FOLLOW[op.kind](walk, op) if op.kind in _FOLLOW else []
    for value in op.outputs:
        rank = len(walk.shape(value))
        walk.left[value] = found if len(found) == rank else [NUMBER] * rank


def _product(factors: Sequence[int]) -> int:
    worst = max(factors, default=NUMBER)
    return worst if worst == WILD else min(factors, default=NUMBER)


def _aligned(walk: Walk, op: Op, axis: int) -> list[int]:
    """Return what stands in each operand along one axis of the result; a stretched one is a number."""
    rank = len(walk.shape(op.outputs[0]))
    found = []
    for value in op.inputs:
        if value != NONE:
            index = axis - rank + len(walk.shape(value))
            stretched = index < 0 or walk.shape(value)[index] != walk.shape(op.outputs[0])[axis]
            found.append(NUMBER if stretched else walk.left[value][index])
    return found


def _elementwise(walk: Walk, op: Op) -> Left:
    function = str(op.options.get("function", ""))
    return [_computed(function, _aligned(walk, op, axis)) for axis in range(len(walk.shape(op.outputs[0])))]


def _computed(function: str, given: list[int]) -> int:
    worst = max(given)
    if worst == WILD:
        return WILD
    if function in _PRODUCTS:
        return min(given)
    if function in _QUOTIENTS:
        return WILD if len(given) > 1 and given[1] == ZERO else given[0]
    if function in _POLES and given[0] == ZERO:
        return WILD
    if function in _FIRST:
        return given[0]
    if function == "where" and len(given) == 3:
        return max(given[1:])
    if function in _UNARY or (function in _SUMS and len(given) > 1):
        return worst
    return NUMBER


def _conv(walk: Walk, op: Op) -> Left:
    x, weight, bias = (*op.inputs, NONE)[:3]
    x_left, w_left = walk.left[x], walk.left[weight]
    x_axes, w_axes = walk.axes[x], walk.axes[weight]
    into, out = (0, 1) if op.options.get("transposed") else (1, 0)
    groups = int(op.options["groups"])
    whole_groups = groups > 1 and groups >= walk.shape(weight)[1]
    if not whole_groups and _product([x_left[1], w_left[into]]) != ZERO:
        walk.freeze(op, _REASON, x_axes[1], w_axes[into])
    factors = [w_left[out], x_left[1]] if whole_groups else [w_left[out]]
    added = ZERO if bias == NONE else walk.left[bias][0]
    rest = [NUMBER] * (len(walk.shape(op.outputs[0])) - 2)
    return [max(x_left[0], ZERO if bias == NONE else NUMBER), max(_product(factors), added), *rest]


def _contract(walk: Walk, op: Op) -> Left:
    operands, result = op.options["spec"].split("->")
    met: dict[str, list[int]] = {}
    for letters, value in zip(operands.split(","), op.inputs, strict=True):
        for letter, left in zip(letters, walk.left[value], strict=True):
            met.setdefault(letter, []).append(left)
    for letters, value in zip(operands.split(","), op.inputs, strict=True):
        for letter, axis in zip(letters, walk.axes[value], strict=True):
            if letter not in result and _product(met[letter]) != ZERO:
                walk.freeze(op, _REASON, axis)
    return [_product(met[letter]) for letter in result]


def _attention(walk: Walk, op: Op) -> Left:
    q, k, v = (walk.left[value] for value in op.inputs[:3])
    if _product([q[-1], k[-1]]) != ZERO:
        walk.freeze(op, _REASON, walk.axes[op.inputs[0]][-1], walk.axes[op.inputs[1]][-1])
    return [*v[:-3], max(v[-3], _wild(q[-3], k[-3])), max(q[-2], NUMBER), v[-1]]


def _wild(*left: int) -> int:
    """Return the worst, where that is no number; what is less bad does no harm."""
    return WILD if WILD in left else ZERO


def _batch_norm(walk: Walk, op: Op) -> Left:
    """With all of its parameters, the channel's shift is what is left: zero."""
    x, *parameters = (walk.left[value] for value in op.inputs if value != NONE)
    shift = max((left[0] for left in parameters), default=ZERO)
    channel = max(shift, _wild(x[1]) if len(parameters) >= 4 else x[1])
    return [NUMBER if axis != 1 else channel for axis in range(len(x))]


def _group_norm(walk: Walk, op: Op) -> Left:
    """The masked network normalises over what is kept; the rest is zero there."""
    first, *rest = walk.left[op.inputs[0]]
    return [first if len(op.inputs) == 1 else NUMBER, *[ZERO] * len(rest)]


def _layer_norm(walk: Walk, op: Op) -> Left:
    over = set(op.options["axes"])
    shifted = len(op.inputs) > 1 and op.options.get("function") != "rms_norm"
    return [
        ZERO if axis in over else max(left, NUMBER if shifted else ZERO)
        for axis, left in enumerate(walk.left[op.inputs[0]])
    ]


def _reduce(walk: Walk, op: Op) -> Left:
    over, keeps = set(op.options["axes"]), str(op.options.get("function")) in _REDUCTIONS
    found = [max(left, ZERO if keeps else NUMBER) for left in walk.left[op.inputs[0]]]
    if op.options["keepdims"]:
        return found
    return [left for axis, left in enumerate(found) if axis not in over]


def _along(walk: Walk, op: Op) -> Left:
    least = ZERO if op.options.get("function") in _MIXTURES else NUMBER
    return [max(left, least) for left in walk.left[op.inputs[0]]]


def _window(walk: Walk, op: Op) -> Left:
    least = NUMBER if op.options.get("function") == "pad" else ZERO
    return [max(left, least) for left in walk.left[op.inputs[0]]]


def _reshape(walk: Walk, op: Op) -> Left:
    """Return, in each block of axes, the worst of those that labels may come from."""
    x, out = op.inputs[0], op.outputs[0]
    found = [NUMBER] * len(walk.shape(out))
    if 0 in walk.shape(out):
        return found
    for before, after in blocks(walk.shape(x), walk.shape(out)):
        met = [walk.left[x][axis] for axis in before if walk.axes[x][axis] is not None]
        for axis in after:
            found[axis] = max(met, default=NUMBER)
    return found


def _transpose(walk: Walk, op: Op) -> Left:
    left = walk.left[op.inputs[0]]
    return [left[axis] for axis in op.options["axes"]]


def _squeeze(walk: Walk, op: Op) -> Left:
    return [left for axis, left in enumerate(walk.left[op.inputs[0]]) if axis not in op.options["axes"]]


def _unsqueeze(walk: Walk, op: Op) -> Left:
    left, new = iter(walk.left[op.inputs[0]]), set(op.options["axes"])
    return [NUMBER if axis in new else next(left) for axis in range(len(walk.shape(op.outputs[0])))]


def _worst(walk: Walk, op: Op) -> Left:
    """Return the worst of all operands, broadcast."""
    return [max(_aligned(walk, op, axis)) for axis in range(len(walk.shape(op.outputs[0])))]


def _stack(walk: Walk, op: Op) -> Left:
    found = [max(lefts) for lefts in zip(*(walk.left[value] for value in op.inputs), strict=True)]
    found.insert(op.options["axis"], NUMBER)
    return found


def _concat(walk: Walk, op: Op) -> Left:
    """A part that is kept whole does not count on the axis itself."""
    at = op.options["axis"]
    parts = [value for value in op.inputs if walk.shape(value) != (0,)]
    found = [max(lefts) for lefts in zip(*(walk.left[value] for value in parts), strict=True)]
    found[at] = max((walk.left[v][at] for v in parts if walk.axes[v][at] is not None), default=NUMBER)
    return found


def _select(walk: Walk, op: Op) -> Left:
    left = walk.left[op.inputs[0]]
    return [*left[: op.options["axis"]], *left[op.options["axis"] + 1 :]]


def _same(walk: Walk, op: Op) -> Left:
    return list(walk.left[op.inputs[0]])


def _gather(walk: Walk, op: Op) -> Left:
    left, read = walk.left[op.inputs[0]], set(op.options["axes"])
    filled = any(source in read for source in op.options["result"])
    least = NUMBER if filled else ZERO
    return [NUMBER if source is None else max(left[source], least) for source in op.options["result"]]


def _embedding(walk: Walk, op: Op) -> Left:
    return [*[NUMBER] * len(walk.shape(op.inputs[0])), walk.left[op.inputs[1]][1]]


def _scatter(walk: Walk, op: Op) -> Left:
    destination, source = op.inputs[:2]
    left, written = walk.left[destination], walk.left[source]
    found = []
    for axis in range(len(left)):
        index = axis - len(left) + len(written)
        found.append(max(left[axis], written[index] if index >= 0 else NUMBER))
    return found


def _channels(walk: Walk, op: Op) -> Left:
    """Keep what is known of batch and channel."""
    return [*walk.left[op.inputs[0]][:2], *[NUMBER] * (len(walk.shape(op.outputs[0])) - 2)]


def _tile(walk: Walk, op: Op) -> Left:
    left = walk.left[op.inputs[0]]
    return [*[NUMBER] * (len(op.options["repeats"]) - len(left)), *left]


_FOLLOW: Mapping[str, Callable[[Walk, Op], Left]] = {
    "elementwise": _elementwise,
    "conv": _conv,
    "contract": _contract,
    "attention": _attention,
    "batch_norm": _batch_norm,
    "group_norm": _group_norm,
    "layer_norm": _layer_norm,
    "reduce": _reduce,
    "along": _along,
    "window": _window,
    "reshape": _reshape,
    "transpose": _transpose,
    "squeeze": _squeeze,
    "unsqueeze": _unsqueeze,
    "expand": _worst,
    "tile": _tile,
    "concat": _concat,
    "stack": _stack,
    "split": _same,
    "slice": _same,
    "flip": _same,
    "select": _select,
    "pad": _same,
    "gather": _gather,
    "embedding": _embedding,
    "write": _worst,
    "scatter": _scatter,
    "pixel_shuffle": _channels,
    "unfold": _channels,
    "fold": _channels,
}
