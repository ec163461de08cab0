"""Steps of random networks that work on sequences (batch, length, channel) and vectors (batch, channel)."""

from __future__ import annotations

import numpy as np

from .drawing import Draw, flag, pick, step, whole


@step(3)
def linear(draw: Draw, x: int) -> list[int]:
    return [draw.net.linear(x, whole(draw, 1, 8), flag(draw))]


@step(3)
def norm(draw: Draw, x: int) -> list[int]:
    kind = pick(draw, ["layer_norm", "rms_norm", "both"])
    if kind == "both":
        return [draw.net.layer_norm(x, (1, 2), flag(draw))]
    return [draw.net.layer_norm(x, (-1,), flag(draw), kind)]


@step(3)
def residual(draw: Draw, x: int) -> list[int]:
    """A normalised residual branch of two layers, gated or not."""
    net = draw.net
    inner = whole(draw, 1, 4)
    y = net.layer_norm(x)
    if flag(draw):
        a, b = net.split(net.linear(y, 2 * inner), 2, inner, inner)
        y = net.binary(a, net.unary(b, "silu"), "mul")
    else:
        y = net.unary(net.linear(y, inner), "gelu")
    return [net.binary(x, net.linear(y, net.shape(x)[2]))]


@step(3)
def packed_attention(draw: Draw, x: int) -> list[int]:
    net = draw.net
    batch, length, _ = net.shape(x)
    heads, width = whole(draw, 1, 4), whole(draw, 1, 4)
    packed = net.linear(x, 3 * heads * width)
    parted = net.reshape(packed, batch, length, 3, heads, width, line=f"packed{heads} {width}")
    stacked = net.transpose(parted, 2, 0, 3, 1, 4)
    q, k, v = net.ops("select", stacked, axis=0, places=(0, 1, 2))
    mask = _mask(draw, heads, length, length)
    y = net.merge(net.attention(q, k, v, mask, pick(draw, [None, 0.5])))
    return [net.linear(y, whole(draw, 1, 6))]


@step(3)
def grouped_attention(draw: Draw, x: int) -> list[int]:
    """Several heads of queries for each head of keys; values of another width."""
    net = draw.net
    heads, times = whole(draw, 1, 2), whole(draw, 1, 2)
    width, other = whole(draw, 1, 4), whole(draw, 1, 4)
    q = net.heads(net.linear(x, heads * times * width), heads * times)
    k, v = (net.heads(net.linear(x, heads * each), heads) for each in (width, other))
    y = net.merge(net.attention(q, k, v, scale=pick(draw, [None, 0.5])))
    return [net.linear(y, whole(draw, 1, 6))]


@step(3)
def written_attention(draw: Draw, x: int) -> list[int]:
    """Attention in products of its own; features may be no zero where a channel leaves."""
    net = draw.net
    heads, width = whole(draw, 1, 3), whole(draw, 2, 4)
    functions = ["clone", "relu", "sigmoid", "exp"]
    q, k = (
        net.unary(net.heads(net.linear(x, heads * width), heads), pick(draw, functions)) for _ in range(2)
    )
    v = net.heads(net.linear(x, heads * width), heads)
    if flag(draw):
        logits = net.op("contract", q, k, spec="bhld,bhmd->bhlm")
        y = net.op(
            "contract", net.op("along", logits, axes=(3,), function="softmax"), v, spec="bhlm,bhmd->bhld"
        )
    else:
        context = net.op("contract", k, v, spec="bhld,bhle->bhde")
        y = net.op("contract", q, context, spec="bhld,bhde->bhle")
    return [net.linear(net.merge(y), whole(draw, 1, 6))]


@step(3)
def mixed_lengths(draw: Draw, x: int) -> list[int]:
    """A layer over places, as mixers have: the length itself has channels."""
    net = draw.net
    y = net.linear(net.transpose(x, 0, 2, 1), whole(draw, 1, 5))
    return [net.transpose(net.unary(y, pick(draw, ["relu", "sigmoid"])), 0, 2, 1)]


@step(3)
def positions(draw: Draw, x: int) -> list[int]:
    net = draw.net
    _, length, channels = net.shape(x)
    table = net.parameter(f"{net.name('position')}.weight", 1, length, channels)
    return [net.binary(x, table)]


@step(3)
def class_token(draw: Draw, x: int) -> list[int]:
    net = draw.net
    batch, _, channels = net.shape(x)
    token = net.parameter(f"{net.name('token')}.weight", 1, 1, channels)
    y = net.op("concat", net.op("expand", token, shapes=[(batch, 1, channels)]), x, axis=1)
    return [y, net.op("select", y, axis=1, places=(0,))]


@step(3)
def written_rows(draw: Draw, x: int) -> list[int]:
    """Some rows overwritten by index."""
    net = draw.net
    length = net.shape(x)[1]
    rows = net.source(draw.random.permutation(length)[: max(1, length // 2)])
    part = net.slice(x, 1, 0, max(1, length // 2))
    return [net.op("scatter", x, net.linear(part, net.shape(x)[2]), rows, axes=(1,))]


@step(3)
def swapped(draw: Draw, x: int) -> list[int]:
    """Two values in a stack, taken apart or reduced again."""
    net = draw.net
    other = net.linear(x, net.shape(x)[2])
    stacked = net.op("stack", x, other, axis=1)
    if flag(draw):
        return [net.reduce(stacked, 1, function="sum")]
    return list(net.ops("select", stacked, axis=1, places=(1, 0)))


@step(3)
def to_picture(draw: Draw, x: int) -> list[int]:
    net = draw.net
    batch, length, channels = net.shape(x)
    side = round(length**0.5)
    if side * side != length:
        return []
    return [net.reshape(net.transpose(x, 0, 2, 1), batch, channels, side, side)]


@step(3)
def to_vector(draw: Draw, x: int) -> list[int]:
    net = draw.net
    if flag(draw):
        return [net.reshape(x, net.shape(x)[0], int(np.prod(net.shape(x)[1:])))]
    return [net.reduce(x, 1, function=pick(draw, ["mean", "amax"]))]


@step(3)
def parted_length(draw: Draw, x: int) -> list[int]:
    """Windows: the length parted, moved to the batch, and back after a layer."""
    net = draw.net
    batch, length, channels = net.shape(x)
    if length % 2:
        return []
    parted = net.reshape(x, batch, 2, length // 2, channels)
    windows = net.reshape(parted, batch * 2, length // 2, channels)
    y = net.linear(windows, whole(draw, 1, 6))
    return [net.reshape(y, batch, length, net.shape(y)[2])]


@step(3)
def with_neighbour(draw: Draw, x: int) -> list[int]:
    """Merged patches: neighbours side by side in the channels."""
    net = draw.net
    length = net.shape(x)[1]
    if length % 2:
        return []
    halves = [net.slice(x, 1, start, length, 2) for start in (0, 1)]
    return [net.linear(net.op("concat", *halves, axis=2), whole(draw, 1, 6), bias=False)]


@step(2)
def dense(draw: Draw, x: int) -> list[int]:
    return [draw.net.linear(x, whole(draw, 1, 8), flag(draw))]


@step(2)
def tied(draw: Draw, x: int) -> list[int]:
    """A layer and its own weight transposed."""
    net = draw.net
    name = net.name("linear")
    weight = net.weight(f"{name}.weight", whole(draw, 2, 6), net.shape(x)[1])
    y = net.unary(net.linear(x, net.shape(weight)[0], False, name, weight), pick(draw, ["relu", "sigmoid"]))
    return [net.op("contract", y, weight, spec="bi,io->bo")]


@step(2)
def vector_norm(draw: Draw, x: int) -> list[int]:
    net = draw.net
    kind = pick(draw, ["batch", "running", "layer", "group"])
    if kind == "layer":
        return [net.layer_norm(x)]
    if kind == "group":
        return [net.group_norm(x, pick(draw, draw.divisors(net.shape(x)[1])), flag(draw))]
    return [net.batch_norm(x, flag(draw), kind)]


@step(2)
def outer(draw: Draw, x: int) -> list[int]:
    """Outer product of two layers, flattened: two axes that can shrink meet."""
    net = draw.net
    left, right = (net.linear(x, whole(draw, 1, 4)) for _ in range(2))
    y = net.op("contract", left, right, spec="bi,bj->bij")
    return [net.reshape(y, net.shape(y)[0], net.shape(y)[1] * net.shape(y)[2])]


@step(2)
def to_sequence(draw: Draw, x: int) -> list[int]:
    net = draw.net
    batch, channels = net.shape(x)
    length = pick(draw, draw.divisors(channels))
    return [net.reshape(x, batch, length, channels // length, line=f"sequence{length}")]


@step(2)
def vector_parts(draw: Draw, x: int) -> list[int]:
    net = draw.net
    channels = net.shape(x)[1]
    if channels < 2:
        return []
    first = whole(draw, 1, channels - 1)
    left, right = net.split(x, 1, first, channels - first)
    return [left, right, net.op("concat", net.op("flip", right, axes=(1,)), left, axis=1)]


def _mask(draw: Draw, heads: int, *lengths: int) -> int:
    net = draw.net
    kind = pick(draw, ["none", "heads", "one"])
    if kind == "none":
        return -1
    return net.parameter(f"{net.name('bias')}.table", heads if kind == "heads" else 1, *lengths)
