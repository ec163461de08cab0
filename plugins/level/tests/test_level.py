"""Hand-worked masks of magnitude pruning, and what other tools' rounding makes of ties."""

import numpy as np
import pytest

import pruners

FIGURE = [[0.1, -0.5, 0.3], [0.9, -0.2, 0.4]]


def mask(weights, sparsity, **options):
    model = {"w": np.array(weights, dtype=np.float32)}
    return pruners.masks(model, "level", sparsity=sparsity, match="w", **options)["w"].astype(int).tolist()


def test_the_smallest_absolute_values_go():
    assert mask(FIGURE, 0.5) == [[0, 1, 0], [1, 0, 1]]


def test_signs_do_not_matter():
    assert mask(np.negative(FIGURE), 0.5) == mask(FIGURE, 0.5)


@pytest.mark.parametrize(
    ("rounding", "kept"),
    [
        ("floor", [0, 0, 1, 1]),
        ("gt", [0, 0, 0, 1]),
        ("gt_nm1", [0, 0, 0, 1]),
        ("keep_ge", [1, 1, 1, 1]),
        ("keep_low", [1, 0, 0, 1]),
        ("keep_floor_ge", [1, 1, 1, 1]),
        ("keep_ceil", [1, 1, 1, 1]),
    ],
)
def test_ties_fall_as_the_named_rounding_says(rounding, kept):
    assert mask([1, 1, 1, 2], 0.5, rounding=rounding) == kept


@pytest.mark.parametrize(
    ("rounding", "pruned"),
    [
        ("floor", (0, 2, 3, 5, 6)),
        ("round", (1, 2, 4, 6, 6)),
        ("keep_floor", (1, 3, 4, 6, 7)),
        ("keep_low", (1, 2, 3, 6, 6)),
        ("keep_ceil", (0, 2, 3, 5, 6)),
    ],
)
def test_counts_of_seven_weights(rounding, pruned):
    counts = [mask(range(1, 8), s, rounding=rounding).count(0) for s in (0.1, 0.3, 0.5, 0.8, 0.9)]
    assert tuple(counts) == pruned


def test_float_noise_does_not_lose_a_weight():
    assert mask(range(1, 101), 0.29).count(0) == 29


def test_nothing_is_computed():
    weight = np.array([1.0, -2.0])

    class View:
        weights = {"w": weight}

    found = pruners.pruner("level").scores(View())
    assert found["w"].array is weight and isinstance(found["w"], pruners.Magnitude)


def test_nan_is_refused():
    with pytest.raises(pruners.ScoreError, match="w"):
        mask([1.0, float("nan"), 2.0], 0.5)
