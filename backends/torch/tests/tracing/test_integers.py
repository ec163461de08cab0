"""Tracked integers compute as integers, and their expressions have their values."""

from __future__ import annotations

import operator
from collections import Counter

import hypothesis.strategies as st
import pytest
import torch
from attrs import define, field
from hypothesis import given
from pruners_torch.tracing.integers import TrackedInt, expression_of, plain

from pruners.structure.program import Arithmetic, Attribute, Constant, Dimension

OPERATORS = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
    "%": operator.mod,
}
X, Y = Attribute("", "x"), Attribute("", "y")


@define
class Notes:
    open: bool = True
    kept: list = field(factory=list)
    found: list = field(factory=list)

    def fixed(self, expression, value):
        self.kept.append((expression, value))

    def equal(self, dimension, expression, value):
        self.found.append((dimension, expression, value))


def value_of(expression, **values):
    if isinstance(expression, Constant):
        return expression.value
    if isinstance(expression, Attribute):
        return values[expression.name]
    left, right = (value_of(each, **values) for each in (expression.left, expression.right))
    return OPERATORS[expression.operator](left, right)


formulas = st.recursive(
    st.sampled_from(["x", "y"]) | st.integers(-5, 40),
    lambda inner: st.tuples(st.sampled_from(list(OPERATORS)), inner, inner),
    max_leaves=8,
)


def compute(formula, x, y):
    if not isinstance(formula, tuple):
        return {"x": x, "y": y}.get(formula, formula)
    return OPERATORS[formula[0]](compute(formula[1], x, y), compute(formula[2], x, y))


@given(formulas, st.integers(-9, 99), st.integers(-9, 99))
def test_arithmetic_is_that_of_integers(formula, x, y):
    book = Notes()
    try:
        expected = compute(formula, x, y)
    except ZeroDivisionError:
        with pytest.raises(ZeroDivisionError):
            compute(formula, TrackedInt(x, X, book), TrackedInt(y, Y, book))
        return
    found = compute(formula, TrackedInt(x, X, book), TrackedInt(y, Y, book))
    assert plain(found) == expected
    assert value_of(expression_of(found, book), x=x, y=y) == expected
    assert not book.kept and not book.found


def test_a_negative_remembers():
    book = Notes()
    assert (-TrackedInt(3, X, book)).expression == Arithmetic("-", Constant(0), X)


USES = [
    lambda n: n * 0.5,
    lambda n: n / 2,
    lambda n: 2 / n,
    lambda n: n**-0.5,
    lambda n: 2**n,
    float,
    int,
]


@pytest.mark.parametrize("use", USES)
def test_what_is_no_size_any_more_must_stay(use):
    book = Notes()
    assert use(TrackedInt(4, X, book)) == use(4)
    assert book.kept == [(X, 4)]


def test_equalities_that_hold_are_noted():
    book = Notes()
    dimension = Dimension(7, 1)
    length, width, other = TrackedInt(4, dimension, book), TrackedInt(4, X, book), TrackedInt(4, Y, book)
    assert length == width and width == length and width == 4 and width == other
    assert operator.ne(length, 4) is False
    assert book.found == [(dimension, X, 4), (dimension, X, 4), (dimension, Constant(4), 4)]
    assert book.kept == [(X, 4), (Arithmetic("-", X, Y), 0)]


@pytest.mark.parametrize("other", [5, "4", None, 4.5])
def test_differences_are_not(other):
    book = Notes()
    number = TrackedInt(4, X, book)
    assert number != other and operator.eq(number, other) is False
    assert not book.kept and not book.found


def test_integers_of_a_closed_book_are_plain():
    book = Notes()
    number = TrackedInt(4, X, book)
    book.open = False
    assert type(number + 1) is int and type(-number) is int
    assert number == 4 and number / 2 == 2
    assert not book.kept and not book.found


def test_an_integer_of_another_book_is_a_constant():
    assert expression_of(TrackedInt(4, X, Notes()), Notes()) == Constant(4)


def test_they_serve_where_integers_serve():
    import pickle

    number = TrackedInt(2, X, Notes())
    assert [10, 20, 30][number] == 30
    assert list(range(number)) == [0, 1]
    assert {2: "two"}[number] == "two"
    assert Counter([number, 2])[2] == 2
    assert torch.zeros(number, 3).shape == (2, 3)
    assert type(pickle.loads(pickle.dumps(number))) is int
    assert f"{number:03d}" == "002"
    assert number * "ab" == "abab" and (number + 0.5) == 2.5
