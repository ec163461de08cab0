"""Long work says how far it is, where somebody asked."""

import io

import numpy as np
import pytest
from rich.console import Console

import pruners
from pruners.progress import Counted, show_progress, steps


@pytest.fixture
def console():
    return Console(file=io.StringIO(), force_terminal=True, width=80)


def test_nothing_is_shown_unless_asked(capfd):
    with steps("work", 2) as done:
        done()
    assert list(Counted([1, 2], "items")) == [1, 2]
    pruners.sensitivity({"w": np.ones((4, 4))}, lambda model: 1.0, sparsities=[0.5])
    assert capfd.readouterr() == ("", "")


def test_nothing_is_shown_where_there_is_no_terminal(capfd):
    with pruners.show_progress(), steps("work", 2) as done:
        done()
    assert capfd.readouterr() == ("", "")


def test_steps_are_shown_and_go_away(console):
    with show_progress(console):
        with steps("[b]work", 3) as done:
            done()
            done(2)
        shown = console.file.getvalue()
        assert "[b]work" in shown and "3/3" in shown
        assert "\x1b[2K" in shown[shown.rindex("3/3") :], "the row is wiped at the end"


def test_rows_lie_above_each_other_while_work_is_inside_other_work(console):
    with show_progress(console), steps("outer", 1) as done:
        with steps("inner"):
            pass
        done()
    shown = console.file.getvalue()
    assert shown.index("outer") < shown.index("inner")
    assert "0/?" in shown, "work of unknown length"
    assert "1/1" in shown[shown.rindex("inner") :], "what is inside goes, what is around stays"


def test_an_inner_context_leaves_the_outer_one_in_charge(console):
    other = Console(file=io.StringIO(), force_terminal=True)
    with show_progress(console), show_progress(other), steps("work"):
        pass
    assert "work" in console.file.getvalue() and not other.file.getvalue()


def test_items_are_counted_and_an_iterator_may_be_left(console):
    with show_progress(console):
        for item in Counted("abc", "letters"):
            if item == "b":
                break
        assert "1/3" in console.file.getvalue()
        again = len(console.file.getvalue())
        with steps("next", 1):
            pass
    assert "letters" not in console.file.getvalue()[again:]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_error_ends_the_rows(console, error):
    with show_progress(console):
        with pytest.raises(error), steps("first"), steps("second"):
            raise error
        before = len(console.file.getvalue())
        with steps("third"):
            pass
    later = console.file.getvalue()[before:]
    assert "third" in later and "first" not in later and "second" not in later


def test_a_scan_counts_its_measurements(console):
    model = {"a": np.ones((4, 4)), "b": np.ones((2, 2))}
    with pruners.show_progress(console):
        pruners.sensitivity(model, lambda model: 1.0, sparsities=[0.5, 0.7])
    shown = console.file.getvalue()
    assert "sensitivity" in shown and "5/5" in shown, "the baseline, and two sparsities of two layers"
