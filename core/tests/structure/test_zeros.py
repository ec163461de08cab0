"""What is left where a channel is masked, and what that keeps whole."""

import pytest

from pruners.structure.labels import Labels
from pruners.structure.rules import RULES, Walk
from pruners.structure.sites import Sites
from pruners.structure.zeros import NUMBER, WILD, ZERO, follow, start

from .builder import Builder
from .looking import look

SUMMED = "is summed over in a product of which no factor is zero where a channel is masked"


def left(net, value):
    """Return what is left along each axis of a value."""
    program = net.program
    walk = Walk(Labels(), Sites(), program.shapes, rescales=True)
    for each in program.parameters.values():
        walk.axes[each] = [walk.labels.fresh(length) for length in program.shapes[each]]
    for each in (*net.sources, *program.constants):
        walk.axes[each] = [None] * len(program.shapes[each])
    start(walk, list(program.parameters.values()))
    for op in program.ops:
        walk.axes.update(zip(op.outputs, RULES[op.kind](walk, op), strict=True))
        follow(walk, op)
    return walk.left[value]


@pytest.fixture
def net():
    return Builder()


@pytest.fixture
def x(net):
    return net.linear(net.vector(2, 3), 4, name="a")


@pytest.mark.parametrize("function", ["relu", "gelu", "tanh", "abs", "neg", "clone", "silu"])
def test_functions_that_are_zero_at_zero(net, x, function):
    assert left(net, net.unary(x, function))[1] == ZERO


@pytest.mark.parametrize("function", ["sigmoid", "exp"])
def test_functions_that_are_not(net, x, function):
    assert left(net, net.unary(x, function))[1] == NUMBER


def test_a_function_nobody_knows_is_not(net, x):
    (y,) = net.program.op("elementwise", [x], [(2, 4)], function="made_up")
    assert left(net, y)[1] == NUMBER
    (y,) = net.program.op("elementwise", [x], [(2, 4)])
    assert left(net, y)[1] == NUMBER


def test_scalars(net, x):
    assert left(net, net.unary(x, "mul", scalar=2.0))[1] == ZERO
    assert left(net, net.unary(x, "add", scalar=2.0))[1] == NUMBER


def test_sums_and_products(net, x):
    y = net.unary(x, "sigmoid")
    assert left(net, net.binary(x, y))[1] == NUMBER
    assert left(net, net.binary(x, y, "mul"))[1] == ZERO
    assert left(net, net.binary(x, x))[1] == ZERO
    assert left(net, net.binary(y, y, "mul"))[1] == NUMBER
    assert left(net, net.binary(x, net.parameter("shift", 1)))[1] == NUMBER


def test_where(net, x):
    y = net.unary(x, "sigmoid")
    (both,) = net.program.op("elementwise", [y, x, x], [(2, 4)], function="where")
    (one,) = net.program.op("elementwise", [x, x, y], [(2, 4)], function="where")
    assert (left(net, both)[1], left(net, one)[1]) == (ZERO, NUMBER)


@pytest.mark.parametrize("function", ["log", "rsqrt", "reciprocal"])
def test_poles(net, x, function):
    (y,) = net.program.op("elementwise", [x], [(2, 4)], function=function)
    (safe,) = net.program.op("elementwise", [net.unary(x, "sigmoid")], [(2, 4)], function=function)
    (after,) = net.program.op("elementwise", [y, x], [(2, 4)], function="mul")
    assert (left(net, y)[1], left(net, safe)[1], left(net, after)[1]) == (WILD, NUMBER, WILD)


def test_quotients(net, x):
    y = net.unary(x, "sigmoid")
    found = [
        net.program.op("elementwise", pair, [(2, 4)], function="div")[0] for pair in ([x, y], [y, x], [x])
    ]
    assert [left(net, value)[1] for value in found] == [ZERO, WILD, ZERO]


def test_layers_give_zero_where_weight_and_bias_are(net, x):
    ones = net.unary(net.parameter("shift", 4), "exp")
    assert left(net, x)[1] == ZERO
    assert left(net, net.binary(net.linear(net.vector(2, 3), 4, False), ones))[1] == NUMBER
    picture = net.conv(net.picture(3), 4)
    assert left(net, picture)[:2] == [NUMBER, ZERO]
    assert left(net, net.conv(picture, 4, 3, groups=4, bias=False))[1] == ZERO


def test_norms(net):
    x = net.conv(net.picture(3), 4)
    y = net.unary(x, "sigmoid")
    assert left(net, net.batch_norm(y))[1] == ZERO  # scale and shift leave
    assert left(net, net.batch_norm(y, affine=False))[1] == NUMBER
    assert left(net, net.batch_norm(x, affine=False))[1] == ZERO
    assert left(net, net.group_norm(y, 2)) == [NUMBER, ZERO, ZERO, ZERO]
    last = net.layer_norm(net.transpose(y, 0, 2, 3, 1))
    assert left(net, last) == [NUMBER, NUMBER, NUMBER, ZERO]


def test_movement(net):
    x = net.conv(net.picture(3), 4)
    y = net.unary(net.conv(net.picture(3), 4), "sigmoid")
    assert left(net, net.op("concat", x, y, axis=1))[1] == NUMBER
    assert left(net, net.op("concat", x, net.picture(4), axis=1))[1] == ZERO  # what stays does not count
    assert left(net, net.transpose(x, 1, 0, 2, 3))[0] == ZERO
    assert left(net, net.reshape(x, 2, 16))[1] == ZERO
    assert left(net, net.reshape(net.reshape(y, 2, 16), 2, 4, 2, 2))[1] == NUMBER
    assert left(net, net.reduce(x, 2, 3))[1] == ZERO
    assert left(net, net.op("along", x, axes=(2, 3), function="softmax"))[1] == NUMBER
    assert left(net, net.op("along", x, axes=(3,), function="cumsum"))[1] == ZERO
    assert left(net, net.op("write", net.constant((2, 4, 2, 2)), x))[1] == NUMBER


@pytest.mark.parametrize(("functions", "stays"), [("sigmoid relu", False), ("sigmoid exp", True)])
def test_a_product_needs_one_factor_that_is_zero(net, functions, stays):
    x = net.vector(2, 3)
    a, b = (
        net.unary(net.linear(x, 4, name=name), function)
        for name, function in zip("ab", functions.split(), strict=True)
    )
    y = net.op("unsqueeze", net.op("contract", a, b, spec="bi,bi->b"), axes=(1,))
    found = look(net, net.linear(y, 2))
    assert found.whole("a.weight") == stays
    assert found.because("a.weight", 0, f"{SUMMED} (contract in the model)") == stays
    assert found.because("b.weight", 0, f"{SUMMED} (contract in the model)") == stays


def test_infinity_times_zero_keeps_whole(net, x):
    y = net.unary(net.unary(x, "abs"), "log")
    assert look(net, net.linear(y, 2)).because("a.weight", 0, SUMMED)


def test_features_of_an_attention(net):
    x = net.vector(2, 3, 3)
    q, k = (net.unary(net.heads(net.linear(x, 8, name=name), 2), "exp") for name in "qk")
    v = net.heads(net.linear(x, 8, name="v"), 2)
    y = net.linear(net.merge(net.attention(q, k, v, scale=1.0)), 2)
    found = look(net, y)
    assert found.because("q.weight", 0, f"{SUMMED} (attention in the model)")
    assert not found.whole("v.weight")


def test_a_weight_that_is_computed(net):
    """A sigmoid of a weight reads masked channels, unless they are zero."""
    x = net.conv(net.picture(3), 4, name="a")
    raw = net.weight("w.weight", 2, 4, 1, 1)
    weight = net.unary(raw, "sigmoid")
    reads_zero = look(net, net.conv(x, 2, bias=False, weight=weight))
    assert not reads_zero.whole("a.weight")
    other = Builder()
    x = other.unary(other.conv(other.picture(3), 4, name="a"), "sigmoid")
    weight = other.unary(other.weight("w.weight", 2, 4, 1, 1), "sigmoid")
    assert look(other, other.conv(x, 2, bias=False, weight=weight)).because("a.weight", 0, SUMMED)


def test_whole_groups_need_no_zero():
    """A group leaves with its outputs: nothing that stays reads it."""
    net = Builder()
    x = net.unary(net.conv(net.picture(3), 4, name="a"), "sigmoid")
    weight = net.unary(net.weight("w.weight", 4, 1, 1, 1), "sigmoid")
    y = net.conv(x, 4, groups=4, bias=False, weight=weight)
    assert not look(net, net.conv(y, 2)).whole("a.weight")
