"""Labels: joined, tied, frozen, solved, and the reasons why something stays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pruners.structure.labels import FROZEN, Labels, Reason
from pruners.structure.program import Place

WHY = Reason("stays")


def test_fresh_labels_are_distinct_and_never_the_frozen_one():
    labels = Labels()
    first, second = labels.fresh(3), labels.fresh(2)
    assert sorted([*first, *second]) == [1, 2, 3, 4, 5]
    assert FROZEN not in first


def test_joined_labels_share_their_lowest_root():
    labels = Labels()
    a, b, c = (labels.fresh(2) for _ in range(3))
    assert labels.join(b, c, WHY) is b
    labels.join(a, b, WHY)
    classes = labels.solve()
    for axis in (a, b, c):
        np.testing.assert_array_equal(classes.of(axis), a)


@pytest.mark.parametrize("swapped", [False, True])
def test_what_meets_something_that_stays_stays(swapped):
    labels = Labels()
    a = labels.fresh(2)
    assert labels.join(*((None, a) if swapped else (a, None)), WHY) is None
    classes = labels.solve()
    assert classes.of(a) is None
    assert classes.reasons(a) == [WHY]


def test_two_that_stay_give_one_that_stays():
    labels = Labels()
    assert labels.join(None, None, WHY) is None
    assert labels.solve().reasons(None) == []


def test_a_frozen_part_freezes_what_it_meets_and_says_why():
    labels = Labels()
    a, b = labels.fresh(3), labels.fresh(3)
    part = np.concatenate([[FROZEN], a[1:]])
    labels.join(part, b, WHY)
    classes = labels.solve()
    np.testing.assert_array_equal(classes.of(b), [FROZEN, a[1], a[2]])
    assert classes.reasons(b) == [WHY]


def test_what_is_tied_to_the_frozen_label_has_a_reason_too():
    labels = Labels()
    a = labels.fresh(2)
    labels.tie(np.array([[FROZEN, a[0]], [a[1], a[0]]]), 1)
    classes = labels.solve()
    np.testing.assert_array_equal(classes.of(a), [a[0], FROZEN])
    assert [reason.text for reason in classes.reasons(a)] == ["goes with something that is kept whole"]


@pytest.mark.parametrize(("carrier", "expected"), [(0, ["aaa", "bbb"]), (1, ["abc", "abc"])])
def test_a_tie_lets_one_axis_vary(carrier, expected):
    labels = Labels()
    table = labels.fresh(6).reshape(2, 3)
    carried = labels.tie(table, carrier)
    assert len(carried) == table.shape[carrier]
    classes = labels.solve()
    letters = {}
    found = [
        "".join(letters.setdefault(root, chr(97 + len(letters))) for root in classes.of(row)) for row in table
    ]
    assert found == expected
    np.testing.assert_array_equal(classes.of(carried), classes.of(table.take(0, 1 - carrier)))


def test_reasons_come_in_the_order_they_were_met_and_the_first_wins():
    labels = Labels()
    a, b = labels.fresh(2), labels.fresh(2)
    first, second, third = (Reason(text) for text in ("first", "second", "third"))
    labels.freeze(a[:1], first)
    labels.freeze(a, second)
    labels.freeze(b, third)
    classes = labels.solve()
    assert classes.reasons(a) == [first, second]
    assert classes.reasons(b) == [third]


def test_a_reason_reads_as_a_sentence_with_its_place():
    place = Place("block", "aten.view", "model.py:7")
    assert str(Reason("is merged", place)) == "is merged (aten.view in block at model.py:7)"
    assert str(Reason("is returned by the model")) == "is returned by the model"
    assert str(Place()) == "operation in the model"


def test_freezing_nothing_is_nothing():
    labels = Labels()
    labels.freeze(None, WHY)
    labels.freeze(np.empty(0, int), WHY)
    assert labels.solve().reasons(labels.fresh(0)) == []


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(
    count=st.integers(1, 30),
    edges=st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=40),
    frozen=st.lists(st.integers(0, 29), max_size=3),
)
def test_classes_are_the_connected_components(count, edges, frozen):
    labels = Labels()
    all_labels = labels.fresh(count)
    edges = [(1 + a % count, 1 + b % count) for a, b in edges]
    frozen = {1 + each % count for each in frozen}
    for a, b in edges:
        labels.equate(np.array([a]), np.array([b]))
    for each in frozen:
        labels.freeze(np.array([each]), WHY)
    expected = {label: {label} for label in range(1, count + 1)}
    for a, b in edges:
        merged = expected[a] | expected[b]
        expected.update(dict.fromkeys(merged, merged))
    root = labels.solve().root
    for label in all_labels:
        stays = bool(expected[label] & frozen)
        assert root[label] == (FROZEN if stays else min(expected[label]))
