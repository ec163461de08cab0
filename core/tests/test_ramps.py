"""The parts of ramps: what they refuse and how they say it, and how a ramp gets other ends."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from attrs import field, frozen
from attrs.converters import optional
from hypothesis import given
from hypothesis import strategies as st

import pruners
from pruners import ramps


@frozen(kw_only=True)
class Straight:
    """What an author outside this project would write."""

    initial_sparsity: float = field(default=0.0, converter=float, validator=ramps.fraction)
    final_sparsity: float | None = field(
        default=None, converter=optional(float), validator=ramps.final_fraction
    )
    start: int = field(default=0, converter=ramps.integer, validator=ramps.whole(0))
    stop: int = field(default=10, converter=ramps.integer, validator=ramps.after_start)
    every: int = field(default=1, converter=ramps.integer, validator=ramps.whole(1))

    def sparsity(self, step):
        first, final = ramps.ends("straight", self)
        done = (step - self.start) / (self.stop - self.start)
        return first + (final - first) * min(1.0, max(0.0, done))

    def due(self, step):
        return self.start <= step <= self.stop and (step - self.start) % self.every == 0

    def between(self, initial, final):
        return ramps.between(self, initial, final)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"initial_sparsity": -0.1}, ValueError, "'initial_sparsity' must be >= 0.0: -0.1"),
        ({"initial_sparsity": 1}, ValueError, "'initial_sparsity' must be < 1.0: 1.0"),
        ({"initial_sparsity": float("nan")}, ValueError, "'initial_sparsity' must be >= 0.0: nan"),
        ({"final_sparsity": 1.0}, ValueError, "'final_sparsity' must be < 1.0: 1.0"),
        ({"final_sparsity": float("nan")}, ValueError, "'final_sparsity' must be >= 0.0: nan"),
        (
            {"initial_sparsity": 0.6, "final_sparsity": 0.5},
            pruners.OptionError,
            "'final_sparsity' must be at least 'initial_sparsity', 0.6: 0.5",
        ),
        ({"start": -1}, ValueError, "'start' must be >= 0: -1"),
        ({"every": 0}, ValueError, "'every' must be >= 1: 0"),
        ({"start": 10}, pruners.OptionError, "'stop' must be above 'start', 10: 10"),
        ({"start": 3, "stop": 2}, pruners.OptionError, "'stop' must be above 'start', 3: 2"),
    ],
)
def test_a_value_out_of_range_is_refused(wrong, error, message):
    with pytest.raises(error) as caught:
        Straight(**wrong)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "wrong",
    [
        {"every": 1.5},
        {"stop": 10.0},
        {"start": "0"},
        {"stop": None},
        {"every": True},
        {"stop": True},
        {"stop": np.float64(3.5)},
    ],
)
def test_a_number_of_steps_that_is_no_integer_is_refused(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(TypeError) as caught:
        Straight(**wrong)
    assert str(caught.value) == f"'{name}' must be a whole number, got {value!r}"


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8])
def test_integers_of_numpy_are_kept_as_pythons_own(kind):
    ramp = Straight(start=kind(2), stop=kind(9), every=kind(3))
    assert ramp == Straight(start=2, stop=9, every=3)
    assert {type(value) for value in (ramp.start, ramp.stop, ramp.every)} == {int}


OPTIONS = [
    (pruners.schedule, "agp", {"start": 1, "stop": 9, "every": 2}),
    (pruners.schedule, "constant", {"at": 3}),
    (pruners.schedule, "exponential", {"start": 1, "stop": 9, "every": 2}),
    (pruners.schedule, "linear", {"start": 1, "stop": 9, "every": 2}),
    (pruners.schedule, "moffett", {"pretrain": 1, "sparse": 8, "every": 2}),
    (pruners.schedule, "paddle", {"interval": 2, "end": 8}),
    (pruners.pattern, "nm", {"block": 8, "keep": 2, "axis": 1}),
    (pruners.pattern, "bank", {"size": 8, "axis": 1}),
    (pruners.pruner, "random", {"seed": 3}),
]


@pytest.mark.parametrize(("make", "name", "options"), OPTIONS, ids=[name for _, name, _ in OPTIONS])
def test_every_whole_number_of_a_plugin_may_be_numpys(make, name, options):
    numpys = {option: np.int64(value) for option, value in options.items()}
    assert repr(make(name, **numpys)) == repr(make(name, **options))
    for option in options:
        message = f"{name!r}: {option!r} must be a whole number, got 2.5"
        with pytest.raises(pruners.OptionError, match=message):
            make(name, **{**options, option: 2.5})


def test_a_blocks_shape_may_be_numpys():
    made = pruners.pattern("block", shape=(np.int64(2), np.int32(3)))
    assert repr(made) == repr(pruners.pattern("block", shape=(2, 3)))
    with pytest.raises(pruners.OptionError, match="'shape' must be a whole number, got 2.5"):
        pruners.pattern("block", shape=(2.5, 1))


def test_the_limits_themselves_pass():
    ramp = Straight(initial_sparsity=0, final_sparsity=0, start=9, stop=10, every=1)
    assert ramps.ends("straight", ramp) == (0.0, 0.0)
    assert Straight(initial_sparsity=0.5, final_sparsity=0.5).final_sparsity == 0.5


def test_ends_says_which_schedule_has_none():
    with pytest.raises(pruners.OptionError) as caught:
        ramps.ends("straight", Straight())
    assert str(caught.value) == (
        "schedule 'straight' has no end: give final_sparsity=, or sparsity= in its rule"
    )


def test_an_end_of_zero_is_an_end():
    assert ramps.ends("straight", Straight(final_sparsity=0.0)) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("own", "given", "ends"),
    [
        ((0.1, 0.5), (None, None), (0.1, 0.5)),
        ((0.1, 0.5), (None, 0.9), (0.1, 0.9)),
        ((0.1, 0.5), (0.2, None), (0.2, 0.5)),
        ((0.1, 0.5), (0.6, None), (0.6, 0.6)),
        ((0.1, 0.5), (0.6, 0.4), (0.6, 0.6)),
        ((0.1, 0.5), (0.0, 0.0), (0.0, 0.0)),
        ((0.1, None), (0.2, None), (0.2, None)),
        ((0.1, None), (None, None), (0.1, None)),
        ((0.1, None), (None, 0.9), (0.1, 0.9)),
    ],
)
def test_between(own, given, ends):
    ramp = Straight(initial_sparsity=own[0], final_sparsity=own[1], start=2, stop=7, every=3)
    expected = Straight(initial_sparsity=ends[0], final_sparsity=ends[1], start=2, stop=7, every=3)
    assert ramps.between(ramp, *given) == expected
    assert (ramp.initial_sparsity, ramp.final_sparsity) == own


def test_between_checks_the_ends_it_is_given():
    with pytest.raises(ValueError, match=r"'final_sparsity' must be < 1\.0: 1\.0"):
        ramps.between(Straight(), None, 1.0)
    with pytest.raises(ValueError, match=r"'initial_sparsity' must be < 1\.0: 1\.5"):
        ramps.between(Straight(), 1.5, 0.5)
    with pytest.raises(pruners.OptionError, match=r"'initial_sparsity', 0\.4: 0\.3"):
        ramps.between(Straight(initial_sparsity=0.4), None, 0.3)


@given(st.floats(0, 0.999), st.floats(0, 0.999))
def test_no_layer_goes_back(initial, final):
    ramp = ramps.between(Straight(), initial, final)
    values = [ramp.sparsity(step) for step in range(12)]
    assert values[0] == initial
    assert min(values) == initial


def test_a_rule_sets_the_end():
    model = {"w": np.arange(1.0, 11.0).reshape(2, 5)}
    pruning = pruners.attach(model, pruners.Rule("w", sparsity=0.5, schedule=Straight(stop=5)))
    left = []
    for _ in range(6):
        pruning.step()
        left.append(int(np.count_nonzero(model["w"])))
    assert left == [9, 8, 7, 6, 5, 5]


def test_no_array_library_is_imported():
    code = "import sys, pruners.ramps; print('numpy' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
