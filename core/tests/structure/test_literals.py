"""Sizes in the code: attributes follow the channels that are left, or channels stay."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pruners import RemovalError
from pruners.structure.literals import Reconciler
from pruners.structure.program import Arithmetic, Attribute, Constant, Dimension, LiteralSize, Place

from .builder import Builder
from .looking import look

PLACE = Place("block", "view", "model.py:7")
HEADS, WIDTH, DIM = (Attribute("block", name) for name in ("heads", "width", "dim"))


def size(expression, value, axis, **part):
    return LiteralSize("eval", expression, value, axis, PLACE, **part)


def op(operator, left, right):
    return Arithmetic(operator, left, right)


class Chain:
    """Layers one after another; each gives its own group of channels."""

    def __init__(self, *widths):
        net = Builder()
        x = net.vector(2, 3)
        self.values = []
        for number, width in enumerate(widths):
            x = net.linear(x, width, name=f"l{number}")
            self.values.append(x)
        self.found = look(net, net.linear(x, 2))
        self.structure = self.found.structure

    def gone(self, *counts):
        """Return a choice in which the first channels of each layer leave."""
        gone = np.zeros(self.structure.size, bool)
        for number, count in enumerate(counts):
            gone[self.found.roots(f"l{number}.weight")[:count]] = True
        return gone

    def left(self, gone):
        return [
            int(np.count_nonzero(~gone[self.found.roots(f"l{number}.weight")]))
            for number in range(len(self.values))
        ]

    def fit(self, literals, attributes, *counts, score=None):
        reconciler = Reconciler(self.structure, attributes)
        reconciler.add(literals)
        score = np.arange(self.structure.size, dtype=float) if score is None else score
        return reconciler.fit(self.gone(*counts), score)


@pytest.mark.parametrize(
    ("expression", "before", "after"),
    [
        (DIM, 8, 5),
        (op("+", DIM, Constant(3)), 5, 2),
        (op("+", Constant(3), DIM), 5, 2),
        (op("-", DIM, Constant(2)), 10, 7),
        (op("-", Constant(10), DIM), 2, 5),
        (op("*", DIM, Constant(1)), 8, 5),
        (op("*", Constant(1), DIM), 8, 5),
        (op("//", DIM, Constant(2)), 16, 10),
        (op("//", Constant(40), DIM), 5, 8),
        (op("+", op("//", DIM, Constant(2)), Constant(4)), 8, 2),
    ],
    ids=str,
)
def test_an_attribute_becomes_what_its_arithmetic_needs(expression, before, after):
    chain = Chain(8)
    gone, changed, restored = chain.fit([size(expression, chain.values[0], 1)], {DIM: before}, 3)
    assert chain.left(gone) == [5]
    assert changed == {DIM: after}
    assert restored == []


@pytest.mark.parametrize(
    ("expression", "before", "kept", "after"),
    [
        (op("*", DIM, Constant(4)), 2, 8, 2),  # 5 is no multiple of 4
        (op("*", DIM, Constant(2)), 4, 6, 3),
        (op("//", Constant(16), DIM), 2, 8, 2),  # 16 / 5, 16 / 6 and 16 / 7 are no integers
        (op("%", DIM, Constant(100)), 8, 8, 8),  # nothing inverts a remainder
        (op("*", DIM, DIM), 3, 9, 3),  # nor an attribute on both sides
    ],
    ids=str,
)
def test_channels_stay_where_no_attribute_fits(expression, before, kept, after):
    length = 9 if before == 3 else 8
    chain = Chain(length)
    gone, changed, restored = chain.fit([size(expression, chain.values[0], 1)], {DIM: before}, length - 5)
    assert chain.left(gone) == [kept]
    assert changed == ({} if after == before else {DIM: after})
    assert sum(len(each.roots) for each in restored) == kept - 5
    assert {each.place for each in restored} == {PLACE}


def test_the_highest_scores_come_back_first():
    chain = Chain(8)
    roots = np.array(chain.found.roots("l0.weight"))
    score = np.zeros(chain.structure.size)
    score[roots[:3]] = [1.0, 3.0, 2.0]
    literal = size(op("*", DIM, Constant(2)), chain.values[0], 1)
    gone, changed, restored = chain.fit([literal], {DIM: 4}, 3, score=score)
    assert np.flatnonzero(gone[roots]).tolist() == [0, 2]
    assert restored[0].roots == (roots[1],)
    assert changed == {DIM: 3}


def test_nothing_changes_where_nothing_leaves():
    """A quotient does not tell its dividend: 9 // 4 stays 9 // 4."""
    chain = Chain(2)
    gone, changed, restored = chain.fit([size(op("//", DIM, Constant(4)), chain.values[0], 1)], {DIM: 9})
    assert (gone.any(), changed, restored) == (False, {}, [])


def test_one_attribute_for_two_axes_keeps_the_larger():
    chain = Chain(6, 6)
    literals = [size(DIM, value, 1) for value in chain.values]
    gone, changed, restored = chain.fit(literals, {DIM: 6}, 4, 1)
    assert chain.left(gone) == [5, 5]
    assert changed == {DIM: 5}
    assert sum(len(each.roots) for each in restored) == 3


def test_a_dimension_of_another_value_ties_counts():
    """``x.reshape(..., y.shape[1])``."""
    chain = Chain(6, 6)
    literal = size(Dimension(chain.values[0], 1), chain.values[1], 1)
    gone, changed, restored = chain.fit([literal], {}, 2, 4)
    assert chain.left(gone) == [4, 4]
    assert changed == {}
    assert len(restored) == 1


def test_a_dimension_of_an_axis_that_stays_keeps_the_other_whole():
    chain = Chain(3)
    literal = size(Dimension(chain.found.net.program.parameters["l0.weight"], 1), chain.values[0], 1)
    gone, _, restored = chain.fit([literal], {}, 2)
    assert chain.left(gone) == [3]
    assert len(restored[0].roots) == 2


def test_an_attribute_that_also_sizes_something_whole_keeps_channels():
    chain = Chain(3)
    literals = [size(DIM, chain.values[0], 1), size(DIM, chain.found.net.program.parameters["l0.weight"], 1)]
    gone, changed, _ = chain.fit(literals, {DIM: 3}, 2)
    assert chain.left(gone) == [3]
    assert changed == {}


def heads_network():
    """Return a residual width of 8 and two heads of width 4, and the values of both."""
    net = Builder()
    x = net.linear(net.vector(2, 3, 3), 8, name="stream")
    inner = net.linear(x, 8, name="inner")
    parted = net.reshape(inner, 2, 3, 2, 4, line="heads")
    merged = net.reshape(net.unary(parted, "relu"), 2, 3, 8)
    y = net.binary(x, net.linear(merged, 8, name="back"))
    return look(net, net.linear(y, 2)), x, parted, merged


def test_heads_and_width():
    """``view(B, N, heads, dim // heads)``, then ``reshape(B, N, dim)``: dim is the inner width."""
    found, _, parted, merged = heads_network()
    reconciler = Reconciler(found.structure, {HEADS: 2, DIM: 8})
    reconciler.add([size(HEADS, parted, 2), size(op("//", DIM, HEADS), parted, 3), size(DIM, merged, 2)])
    gone = np.zeros(found.structure.size, bool)
    gone[found.roots("inner.weight")[0]] = True
    left, changed, restored = reconciler.fit(gone, np.zeros(found.structure.size))
    np.testing.assert_array_equal(left, gone)
    assert changed == {DIM: 6}
    assert restored == []


def test_residual_width_written_for_the_width_of_heads_is_restored_minimally():
    """``reshape(B, N, C)`` with C the residual width: heads times width must become C again."""
    found, stream, parted, merged = heads_network()
    reconciler = Reconciler(found.structure, {HEADS: 2, WIDTH: 4})
    reconciler.add([size(HEADS, parted, 2), size(WIDTH, parted, 3), size(Dimension(stream, 2), merged, 2)])
    gone = np.zeros(found.structure.size, bool)
    gone[found.roots("stream.weight")[:3]] = True  # 5 left
    gone[found.roots("inner.weight")[:2]] = True  # 2 heads of 2: 4 left
    left, changed, restored = reconciler.fit(gone, np.arange(found.structure.size, dtype=float))
    assert np.count_nonzero(~left[found.roots("stream.weight")]) == 6
    assert np.count_nonzero(~left[found.roots("inner.weight")]) == 6
    assert changed == {WIDTH: 3}
    assert sum(len(each.roots) for each in restored) == 2


def test_part_of_an_axis():
    """``x[:, 2:5]`` counts what is left of these three."""
    chain = Chain(6)
    roots = chain.found.roots("l0.weight")
    literal = size(DIM, chain.values[0], 1, start=2, stop=5)
    reconciler = Reconciler(chain.structure, {DIM: 3})
    reconciler.add([literal])
    gone = np.zeros(chain.structure.size, bool)
    gone[[roots[0], roots[2], roots[3]]] = True
    left, changed, _ = reconciler.fit(gone, np.zeros(chain.structure.size))
    np.testing.assert_array_equal(left, gone)
    assert changed == {DIM: 1}


def test_every_other_coordinate():
    chain = Chain(6)
    literal = size(DIM, chain.values[0], 1, step=3)
    _, changed, _ = chain.fit([literal], {DIM: 2}, 1)
    assert changed == {DIM: 1}


def test_sizes_alike_are_one():
    chain = Chain(6)
    reconciler = Reconciler(chain.structure, {DIM: 6})
    reconciler.add([size(DIM, chain.values[0], 1)] * 5)
    assert len(reconciler._sizes) == 1


def test_a_size_is_mended_through_attributes_that_lead_far():
    """The broken size has no channels of its own: those come back that an attribute leads to."""
    a, b, c = (Attribute("m", name) for name in "abc")
    chain = Chain(6)
    weight = chain.found.net.program.parameters["l0.weight"]  # its second axis has 3, and stays
    literals = [
        size(b, chain.values[0], 1),  # b is 6, and would become 3
        size(op("//", op("*", a, b), Constant(4)), weight, 1),  # a b // 4 is 3, and stays 3
        size(op("+", a, op("-", c, Constant(4))), weight, 1),  # a + c - 4 is 3, and stays 3
    ]
    gone, changed, _ = chain.fit(literals, {a: 2, b: 6, c: 5}, 3)
    assert chain.left(gone) == [6]
    assert changed == {}


def test_sizes_that_contradict_each_other_are_an_error():
    chain = Chain(6)
    with pytest.raises(RemovalError, match=r"contradict each other: view in block at model.py:7 is handed 7"):
        chain.fit([size(Constant(7), chain.values[0], 1)], {})


def test_an_unknown_operator_is_an_error():
    chain = Chain(6)
    with pytest.raises(ValueError, match="unknown operator '/'"):
        chain.fit([size(op("/", DIM, Constant(1)), chain.values[0], 1)], {DIM: 6})


def test_a_size_written_in_the_code_keeps_its_axis():
    chain = Chain(6, 4)
    literals = [size(Constant(6), chain.values[0], 1), size(DIM, chain.values[1], 1)]
    found = look(chain.found.net, *chain.found.results, literals=literals)
    assert found.because("l0.weight", 0, "has its size 6 written in the code (view in block at model.py:7)")
    assert found.pattern(("l1.weight", 0)) == ["abcd"]


def test_a_size_written_for_part_of_an_axis_keeps_that_part():
    chain = Chain(6)
    literal = size(Constant(2), chain.values[0], 1, start=1, stop=3)
    found = look(chain.found.net, *chain.found.results, literals=[literal])
    assert found.pattern(("l0.weight", 0)) == ["a..bcd"]


def expressions(target, attributes):
    """Expressions over up to three attributes that are `target` as they are recorded."""
    names = st.sampled_from(sorted(attributes, key=str))

    def around(inner):
        value, expression = inner
        constant = st.integers(1, 6)
        other = names.map(lambda name: (attributes[name], name)) | constant.map(lambda n: (n, Constant(n)))
        return st.tuples(st.sampled_from("+-*/%"), other, st.booleans()).map(
            lambda drawn: _combined(value, expression, *drawn)
        )

    leaves = names.map(lambda name: (attributes[name], name))
    return (
        leaves.flatmap(around)
        .flatmap(around)
        .map(lambda drawn: op("+", drawn[1], Constant(target - drawn[0])))
    )


def _combined(value, expression, operator, other, swapped):
    (left, x), (right, y) = ((value, expression), other) if not swapped else (other, (value, expression))
    if operator in "/%" and right <= 0:
        operator = "+"
    computed = {"+": left + right, "-": left - right, "*": left * right}
    if operator == "/":
        return left // right, op("//", x, y)
    if operator == "%":
        return left % right, op("%", x, y)
    return computed[operator], op(operator, x, y)


@settings(
    max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
@given(data=st.data())
def test_any_sizes_are_mended_by_keeping_more(data):
    chain = Chain(5, 4, 6)
    attributes = {Attribute("m", name): data.draw(st.integers(1, 8), label=name) for name in ("a", "b", "c")}
    lengths = [5, 4, 6]
    literals = []
    for number in data.draw(st.lists(st.integers(0, 2), min_size=1, max_size=5)):
        expression = data.draw(expressions(lengths[number], attributes))
        if data.draw(st.booleans()):
            other = data.draw(st.integers(0, 2))
            expression = op(
                "+", expression, op("-", Dimension(chain.values[other], 1), Constant(lengths[other]))
            )
        literals.append(size(expression, chain.values[number], 1))
    counts = [data.draw(st.integers(0, length - 1)) for length in lengths]
    before = chain.gone(*counts)
    gone, changed, restored = chain.fit(literals, attributes, *counts)
    assert not (gone & ~before).any()
    back = [root for each in restored for root in each.roots]
    assert sorted(back) == np.flatnonzero(before & ~gone).tolist()
    left = chain.left(gone)
    now = {**attributes, **changed}
    for literal in literals:
        where = chain.values.index(literal.value)
        assert _computed(literal.expression, now, dict(zip(chain.values, left, strict=True))) == left[where]


def _computed(expression, attributes, lengths):
    match expression:
        case Constant(value):
            return value
        case Dimension(value, _):
            return lengths[value]
        case Attribute():
            return attributes[expression]
        case Arithmetic(operator, left, right):
            a, b = (_computed(side, attributes, lengths) for side in (left, right))
            return {
                "+": a + b,
                "-": a - b,
                "*": a * b,
                "//": a // b if b else 0,
                "%": a % b if b else 0,
            }[operator]
    raise TypeError(expression)
