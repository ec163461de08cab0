"""The random pruner: exact counts, and scores that depend on seed, name and position only."""

import subprocess
import sys

import array_api_compat.numpy as ops
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pruners_random._random import Random

import pruners


class View:
    prepared = {}

    def __init__(self, weights):
        self.weights, self.ops = weights, ops


def scores(shapes, seed=0):
    return Random(seed=seed).scores(View({name: np.ones(shape) for name, shape in shapes.items()}))


def test_exact_count():
    mask = pruners.masks({"w": np.ones((10, 10))}, "random", sparsity=0.37)["w"]
    assert (~mask).sum() == 37


def test_same_scores_at_every_call_and_in_any_order_of_layers():
    first = scores({"a": (3, 4), "b": (5,)})
    again = scores({"b": (5,), "other": (7, 7), "a": (3, 4)})
    assert np.array_equal(first["a"], again["a"]) and np.array_equal(first["b"], again["b"])


def test_seed_and_name_choose_the_draw():
    a, b = scores({"a": (100,), "b": (100,)}).values()
    assert not np.array_equal(a, b)
    assert not np.array_equal(a, scores({"a": (100,)}, seed=1)["a"])


def test_scores_are_pinned_for_ever():
    """PCG64's raw stream from SHA-256 of '0:w': these never change, on any NumPy."""
    assert scores({"w": (3,)})["w"].tolist() == [0.02411508560180664, 0.26742613315582275, 0.9968163967132568]


def test_another_process_draws_the_same():
    code = (
        "import numpy as np, pruners\n"
        "print(pruners.masks({'w': np.ones((4, 5))}, 'random', sparsity=0.5)['w'].astype(int).tolist())"
    )
    here = pruners.masks({"w": np.ones((4, 5))}, "random", sparsity=0.5)["w"].astype(int).tolist()
    for hashes in ("1", "2"):
        there = subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": hashes}, capture_output=True, text=True
        )
        assert there.stdout.strip() == str(here), there.stderr


def test_uniform():
    drawn = scores({"w": (100, 1000)})["w"]
    assert drawn.dtype == np.float32 and drawn.shape == (100, 1000)
    assert drawn.min() >= 0 and drawn.max() < 1
    # Standard errors at n = 1e5: 0.0009 of the mean, 0.0016 of a tenth's share.
    assert abs(drawn.mean() - 0.5) < 0.005
    assert np.all(np.abs(np.histogram(drawn, 10, (0, 1))[0] / drawn.size - 0.1) < 0.006)


def test_no_global_generator_is_touched():
    np.random.seed(7)
    before = np.random.get_state()[1].copy()
    scores({"w": (10,)})
    assert np.array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (1,), (1, 1, 1)])
def test_small_shapes(shape):
    assert scores({"w": shape})["w"].shape == shape


def test_channels_are_drawn_one_by_one():
    model = {"w": np.ones((8, 3, 2))}
    pruner = pruners.pruner("random", unit="channel")
    drawn = pruners.scores(model, pruner)["w"]
    np.testing.assert_array_equal(drawn, scores({"w": (8,)})["w"])
    mask = pruners.masks(model, pruner, sparsity=0.5)["w"]
    assert (mask.all(axis=(1, 2)) == (drawn >= np.sort(drawn)[4])).all() and mask.sum() == 4 * 6


def test_a_wrong_unit_is_refused():
    with pytest.raises(pruners.OptionError, match="'unit' must be in"):
        pruners.pruner("random", unit="filter")


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**70),
    st.text(max_size=20),
    st.lists(st.floats(0, 0.99), min_size=2, max_size=2).map(sorted),
)
def test_masks_are_nested(seed, name, pair):
    pruner, model = pruners.pruner("random", seed=seed), {name: np.ones((6, 9))}
    less, more = (pruners.masks(model, pruner, sparsity=s, match=lambda _: True)[name] for s in pair)
    assert not (more & ~less).any()


@pytest.mark.parametrize("seed", [-1, 0.5, "1"])
def test_a_wrong_seed_is_refused(seed):
    with pytest.raises(pruners.OptionError, match="seed"):
        pruners.pruner("random", seed=seed)
