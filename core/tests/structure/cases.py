"""Networks in which a removal went wrong once, or easily would."""

from __future__ import annotations

from collections.abc import Callable

from .builder import Builder
from .interpreter import Network

CASES: dict[str, Callable[[], Network]] = {}


def case(function: Callable[[], Network]) -> Callable[[], Network]:
    CASES[function.__name__] = function
    return function


def _attended(net: Builder, function: str) -> int:
    """Return attention written as two products of features that a function makes."""
    x = net.vector(2, 4, 3)
    q, k = (net.unary(net.heads(net.linear(x, 6), 2), function) for _ in range(2))
    v = net.heads(net.linear(x, 6), 2)
    logits = net.op("contract", q, k, spec="bhld,bhmd->bhlm")
    shares = net.op("along", logits, axes=(3,), function="softmax")
    return net.linear(net.merge(net.op("contract", shares, v, spec="bhlm,bhmd->bhld")), 2)


@case
def features_that_are_not_zero_when_masked() -> Network:
    net = Builder()
    return net.network(_attended(net, "sigmoid"))


@case
def features_that_are_zero_when_masked() -> Network:
    net = Builder()
    return net.network(_attended(net, "relu"))


@case
def logarithm_of_what_is_masked() -> Network:
    """Minus infinity times a weight of zero is no number."""
    net = Builder()
    x = net.unary(net.unary(net.linear(net.vector(2, 3), 4), "abs"), "log")
    return net.network(net.linear(x, 2))


@case
def attention_over_places_that_have_channels() -> Network:
    """A softmax over keys that a mixer made: a masked key would still take its share."""
    net = Builder()
    x = net.vector(2, 3, 4)
    x = net.transpose(net.linear(net.transpose(x, 0, 2, 1), 5), 0, 2, 1)
    q, k, v = (net.heads(net.linear(x, 4), 2) for _ in range(3))
    y = net.merge(net.attention(q, k, v))
    return net.network(net.linear(net.transpose(y, 0, 2, 1), 2))


@case
def two_groups_of_one_layer() -> Network:
    """The halves of one layer go different ways."""
    net = Builder()
    left, right = net.split(net.linear(net.vector(2, 3), 6), 1, 2, 4)
    return net.network(net.linear(left, 2), net.linear(right, 2))


@case
def beside_something_whole() -> Network:
    """Channels next to a network's own input: an addition ties some of them to it."""
    net = Builder()
    x = net.picture(2)
    y = net.op("concat", x, net.conv(x, 3), axis=1)
    return net.network(net.conv(net.binary(y, net.conv(x, 5)), 2))


@case
def ones_added() -> Network:
    """A constant makes masked channels non-zero: the weights that read them are zero."""
    net = Builder()
    x = net.conv(net.picture(2), 4)
    return net.network(net.conv(net.binary(x, net.constant(net.shape(x), 1.0)), 2))


@case
def shortcut_padded_with_zeros() -> Network:
    net = Builder()
    x = net.unary(net.conv(net.picture(3), 4), "relu")
    return net.network(net.conv(net.binary(net.pad(x, 1, 2, 2), net.conv(x, 8)), 2))


@case
def shortcut_written_into_zeros() -> Network:
    net = Builder()
    x = net.unary(net.conv(net.picture(3), 4), "relu")
    wide = net.constant((2, 8, 2, 2))
    net.op("write", net.slice(wide, 1, 2, 6), x)
    return net.network(net.conv(net.binary(net.unary(wide, "alias"), net.conv(x, 8)), 2))


@case
def flattened() -> Network:
    net = Builder()
    x = net.batch_norm(net.conv(net.picture(2), 4, 3))
    return net.network(net.linear(net.reshape(x, 2, 16), 3))


@case
def shuffled() -> Network:
    net = Builder()
    x = net.conv(net.conv(net.picture(2), 6), 6, 1, groups=2)
    turned = net.transpose(net.reshape(x, 2, 2, 3, 2, 2), 0, 2, 1, 3, 4)
    return net.network(net.conv(net.conv(net.reshape(turned, 2, 6, 2, 2), 6, 3, 6), 2))


@case
def packed_heads() -> Network:
    net = Builder()
    x = net.linear(net.vector(2, 4, 3), 6)
    packed = net.linear(net.layer_norm(x), 3 * 3 * 4)
    stacked = net.transpose(net.reshape(packed, 2, 4, 3, 3, 4), 2, 0, 3, 1, 4)
    q, k, v = net.ops("select", stacked, axis=0, places=(0, 1, 2))
    mask = net.parameter("table", 3, 4, 4)
    x = net.binary(x, net.linear(net.merge(net.attention(q, k, v, mask)), 6))
    return net.network(net.linear(net.reduce(x, 1), 2))


@case
def groups_that_leave_and_groups_that_narrow() -> Network:
    net = Builder()
    x = net.conv(net.picture(2), 8)
    many = net.conv(x, 8, 1, groups=4)
    return net.network(net.conv(net.conv(many, 6, 1, groups=2), 2))


@case
def a_layer_used_twice() -> Network:
    net = Builder()
    x = net.conv(net.picture(2), 4)
    weight = net.weight("shared.weight", 4, 4, 1, 1)
    y = net.conv(net.unary(net.conv(x, 4, weight=weight, bias=False), "relu"), 4, weight=weight, bias=False)
    return net.network(net.conv(y, 2))


@case
def standardised_weights() -> Network:
    net = Builder()
    raw = net.weight("conv.weight", 5, 3, 1, 1)
    centred = net.binary(raw, net.reduce(raw, 1, 2, 3, keepdims=True), "sub")
    variance = net.reduce(net.binary(centred, centred, "mul"), 1, 2, 3, keepdims=True)
    weight = net.binary(centred, net.unary(net.unary(variance, "add", scalar=0.1), "rsqrt"), "mul")
    return net.network(net.conv(net.conv(net.picture(3), 5, weight=weight), 2))
