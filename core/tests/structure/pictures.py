"""Steps of random networks that work on pictures: (batch, channel, row, column)."""

from __future__ import annotations

import numpy as np

from .drawing import Draw, flag, pick, step, whole


@step(4)
def conv(draw: Draw, x: int) -> list[int]:
    net = draw.net
    channels, side = net.shape(x)[1], min(net.shape(x)[2:])
    groups = pick(draw, [1, 1, 1, *draw.divisors(channels)])
    out = groups * whole(draw, 1, max(1, 8 // groups))
    kernel = pick(draw, [1, 3]) if side > 1 else 1
    return [net.conv(x, out, kernel, groups, flag(draw))]


@step(4)
def depthwise(draw: Draw, x: int) -> list[int]:
    channels = draw.net.shape(x)[1]
    return [draw.net.conv(x, channels * pick(draw, [1, 1, 2]), 3, channels, flag(draw))]


@step(4)
def strided(draw: Draw, x: int) -> list[int]:
    if min(draw.net.shape(x)[2:]) < 2:
        return []
    return [draw.net.conv(x, whole(draw, 1, 6), 3, stride=2)]


@step(4)
def transposed(draw: Draw, x: int) -> list[int]:
    net = draw.net
    channels = net.shape(x)[1]
    if max(net.shape(x)[2:]) > 2:
        return []
    groups = pick(draw, [1, 1, 1, *draw.divisors(channels)])
    return [net.conv(x, groups * whole(draw, 1, 3), 2, groups, flag(draw), stride=2, transposed=True)]


@step(4)
def block(draw: Draw, x: int) -> list[int]:
    """A residual block."""
    net = draw.net
    channels = net.shape(x)[1]
    y = net.unary(net.batch_norm(net.conv(x, whole(draw, 2, 6), 1, bias=False)), "relu")
    return [net.unary(net.binary(x, net.batch_norm(net.conv(y, channels, 1))), "relu")]


@step(4)
def again(draw: Draw, x: int) -> list[int]:
    """A layer used a second time."""
    net = draw.net
    channels = net.shape(x)[1]
    names = [
        name
        for name, array in net.parameters.items()
        if name.startswith("conv")
        and array.ndim == 4
        and array.shape[1] == channels
        and net.weights[name] == 0
    ]
    if not names or min(net.shape(x)[2:]) < 2:
        return []
    name = pick(draw, names)
    weight = net.program.parameters[name]
    kernel = net.shape(weight)[2]
    if kernel not in (1, 3):
        return []
    return [net.conv(x, net.shape(weight)[0], kernel, bias=False, weight=weight)]


@step(4)
def computed_weight(draw: Draw, x: int) -> list[int]:
    """A convolution by a weight that is computed from a parameter."""
    net = draw.net
    out, into = whole(draw, 2, 6), net.shape(x)[1]
    raw = net.weight(f"{net.name('conv')}.weight", out, into, 1, 1)
    kind = pick(draw, ["mask", "standardised", "sigmoid", "shifted", "scaled"])
    if kind == "mask":
        weight = net.binary(raw, net.constant((out, into, 1, 1), 0.5), "mul")
    elif kind == "standardised":
        centred = net.binary(raw, net.reduce(raw, 1, 2, 3, keepdims=True), "sub")
        variance = net.reduce(net.binary(centred, centred, "mul"), 1, 2, 3, keepdims=True)
        weight = net.binary(centred, net.unary(net.unary(variance, "add", scalar=0.1), "rsqrt"), "mul")
    elif kind == "scaled":
        weight = net.binary(raw, net.parameter(f"{net.name('gain')}.weight", out, 1, 1, 1), "mul")
    else:
        weight = net.unary(raw, "sigmoid") if kind == "sigmoid" else net.unary(raw, "add", scalar=1.0)
    return [net.conv(x, out, 1, bias=flag(draw), weight=weight)]


@step(4)
def norm(draw: Draw, x: int) -> list[int]:
    net = draw.net
    kind = pick(draw, ["batch", "running", "group", "last", "picture"])
    if kind == "group":
        return [net.group_norm(x, pick(draw, draw.divisors(net.shape(x)[1])), flag(draw))]
    if kind == "last":
        last = net.layer_norm(net.transpose(x, 0, 2, 3, 1), affine=flag(draw))
        return [net.transpose(last, 0, 3, 1, 2)]
    if kind == "picture":
        return [net.layer_norm(x, (1, 2, 3), flag(draw))]
    return [net.batch_norm(x, flag(draw), kind)]


@step(4)
def gate(draw: Draw, x: int) -> list[int]:
    """Squeeze and excite."""
    net = draw.net
    pooled = net.reduce(x, 2, 3, keepdims=True)
    inner = net.unary(net.conv(pooled, whole(draw, 1, 3)), "relu")
    return [net.binary(x, net.unary(net.conv(inner, net.shape(x)[1]), "sigmoid"), "mul")]


@step(4)
def one_channel_gate(draw: Draw, x: int) -> list[int]:
    net = draw.net
    return [net.binary(x, net.unary(net.conv(x, 1), "sigmoid"), "mul")]


@step(4)
def layer_scale(draw: Draw, x: int) -> list[int]:
    net = draw.net
    channels = net.shape(x)[1]
    shape = pick(draw, [(channels, 1, 1), (1, channels, 1, 1), (1, 1, 1)])
    return [net.binary(x, net.parameter(f"{net.name('gamma')}.weight", *shape), pick(draw, ["mul", "add"]))]


@step(4)
def over_channels(draw: Draw, x: int) -> list[int]:
    net = draw.net
    kind = pick(draw, ["mean", "amax", "softmax", "roll", "select"])
    if kind == "softmax":
        return [net.op("along", x, axes=(1,), function="softmax")]
    if kind == "roll":
        return [net.op("along", x, axes=(1,), function="roll")]
    if kind == "select":
        picked = net.op("select", x, axis=1, places=(0,))
        return [net.op("unsqueeze", picked, axes=(1,))]
    return [net.binary(x, net.reduce(x, 1, function=kind, keepdims=True), "sub")]


@step(4)
def over_space(draw: Draw, x: int) -> list[int]:
    net = draw.net
    kind = pick(draw, ["pool", "softmax", "cumsum", "flip"])
    if kind == "softmax":
        return [net.op("along", x, axes=(2, 3), function="softmax")]
    if kind == "cumsum":
        return [net.op("along", x, axes=(3,), function="cumsum")]
    if kind == "flip":
        return [net.op("flip", x, axes=(2, 3))]
    if any(length % 2 for length in net.shape(x)[2:]):
        return []
    return [net.op("window", x, axes=(2, 3), function="avg_pool2d")]


@step(4)
def parts(draw: Draw, x: int) -> list[int]:
    net = draw.net
    channels = net.shape(x)[1]
    if channels < 2:
        return []
    if flag(draw):
        count = pick(draw, draw.divisors(channels)[1:])
        return list(net.split(x, 1, *[channels // count] * count))
    first = whole(draw, 1, channels - 1)
    return list(net.split(x, 1, first, channels - first))


@step(4)
def part(draw: Draw, x: int) -> list[int]:
    channels = draw.net.shape(x)[1]
    start = whole(draw, 0, channels - 1)
    return [draw.net.slice(x, 1, start, whole(draw, start + 1, channels), pick(draw, [1, 1, 1, 2]))]


@step(4)
def joined(draw: Draw, x: int) -> list[int]:
    net = draw.net
    others = [
        value
        for value in draw.pool
        if len(net.shape(value)) == 4 and _but(net.shape(value), 1) == _but(net.shape(x), 1)
    ]
    chosen = [pick(draw, others) for _ in range(whole(draw, 1, 2))]
    if sum(net.shape(value)[1] for value in chosen) + net.shape(x)[1] > 16:
        return []
    return [net.op("concat", x, *chosen, axis=1)]


@step(4)
def with_constant(draw: Draw, x: int) -> list[int]:
    net = draw.net
    shape = net.shape(x)
    kind = pick(draw, ["concat", "add", "pad", "write", "full", "like"])
    extra = whole(draw, 1, 3)
    if kind == "concat":
        more = net.constant((shape[0], extra, *shape[2:]), pick(draw, [0.0, 1.0]))
        return [net.op("concat", x, more, axis=1)]
    if kind == "add":
        return [net.binary(x, net.constant(shape, pick(draw, [0.0, 1.0])))]
    if kind == "pad":
        return [net.pad(x, 1, whole(draw, 0, 2), extra)]
    if kind == "like":
        return [net.binary(x, net.op("like", x, fill=pick(draw, [0.0, 1.0])))]
    if kind == "full":
        return [net.op("write", net.constant(shape), x)]
    wide = net.constant((shape[0], shape[1] + extra, *shape[2:]), pick(draw, [0.0, 1.0]))
    start = whole(draw, 0, extra)
    net.op("write", net.slice(wide, 1, start, start + shape[1]), x)
    return [net.unary(wide, "alias")]


@step(4)
def moved(draw: Draw, x: int) -> list[int]:
    """Channels in another order, or more than once."""
    net = draw.net
    batch, channels, height, width = net.shape(x)
    kind = pick(draw, ["flip", "shuffle", "tile", "interleave", "gather", "take_batch"])
    if kind == "flip":
        return [net.op("flip", x, axes=(1,))]
    if kind == "shuffle":
        groups = pick(draw, draw.divisors(channels))
        parted = net.reshape(x, batch, groups, channels // groups, height, width, line=f"shuffle{groups}")
        return [net.reshape(net.transpose(parted, 0, 2, 1, 3, 4), *net.shape(x))]
    if kind == "tile":
        return [net.op("tile", x, repeats=(1, 2, 1, 1))] if channels <= 6 else []
    if kind == "interleave":
        if channels > 6:
            return []
        single = net.op("unsqueeze", x, axes=(2,))
        wide = net.op("expand", single, shapes=[(batch, channels, 2, height, width)])
        return [net.reshape(wide, batch, channels * 2, height, width)]
    axis = 1 if kind == "gather" else 0
    index = net.source(draw.random.integers(0, net.shape(x)[axis], net.shape(x)[axis]))
    kept = tuple(None if each == axis else each for each in range(4))
    return [net.op("gather", x, index, axes=(axis,), result=kept)]


@step(4)
def pixels(draw: Draw, x: int) -> list[int]:
    net = draw.net
    _, channels, *sides = net.shape(x)
    if channels % 4 == 0 and max(sides) <= 2:
        return [net.op("pixel_shuffle", x, factor=2)]
    if not any(side % 2 for side in sides) and channels <= 3:
        return [net.op("pixel_shuffle", x, factor=-2)]
    return []


@step(4)
def patches(draw: Draw, x: int) -> list[int]:
    net = draw.net
    batch, channels, height, width = net.shape(x)
    if min(height, width) < 2 or channels > 4:
        return []
    if flag(draw):
        y = net.op("unfold", x, kernel=2)
    else:
        y = net.reshape(net.conv(x, channels * 4), batch, channels * 4, height * width)
        height, width = height + 1, width + 1
    if flag(draw):
        return [net.op("fold", y, shapes=[(batch, channels, height, width)], kernel=2)]
    return [net.reshape(y, batch, channels * 4, height - 1, width - 1)]


@step(4)
def to_tokens(draw: Draw, x: int) -> list[int]:
    net = draw.net
    batch, channels, height, width = net.shape(x)
    return [net.transpose(net.reshape(x, batch, channels, height * width), 0, 2, 1)]


@step(4)
def to_vector(draw: Draw, x: int) -> list[int]:
    net = draw.net
    kind = pick(draw, ["flatten", "mean", "amax", "squeeze"])
    if kind == "flatten":
        return [net.reshape(x, net.shape(x)[0], int(np.prod(net.shape(x)[1:])))]
    if kind == "squeeze":
        return [net.op("squeeze", net.reduce(x, 2, 3, keepdims=True), axes=(2, 3))]
    return [net.reduce(x, 2, 3, function=kind)]


@step(4)
def products(draw: Draw, x: int) -> list[int]:
    """Products of two computed values, summed over channels or over places."""
    net = draw.net
    functions = ["relu", "sigmoid", "tanh", "clone"]
    left, right = (net.unary(net.conv(x, 3), pick(draw, functions)) for _ in range(2))
    if flag(draw):
        y = net.op("contract", left, right, spec="bchw,bchw->bhw")
        return [net.op("unsqueeze", y, axes=(1,))]
    gram = net.op("contract", left, right, spec="bchw,bdhw->bcd")
    return [net.op("unsqueeze", gram, axes=(3,))]


def _but(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]
