"""What is special to LAMP: its scores, ties, and what they do over layers."""

import numpy as np
import pytest
from pruners_lamp._lamp import lamp

import pruners


def by_definition(weight):
    order = sorted(range(weight.size), key=lambda i: (abs(weight.flat[i]), i))
    squares = [float(weight.flat[i]) ** 2 for i in order]
    scores = np.zeros(weight.size)
    for place, index in enumerate(order):
        left = sum(squares[place:])
        scores[index] = squares[place] / left if left else 0.0
    return scores.reshape(weight.shape)


def test_by_hand():
    np.testing.assert_allclose(lamp(np.array([[3.0, -1.0], [0.0, 2.0]])), [[9 / 9, 1 / 14], [0, 4 / 13]])


def test_by_definition():
    weight = np.round(np.random.default_rng(0).normal(size=(6, 5, 3)), 1).astype(np.float32)
    np.testing.assert_allclose(lamp(weight), by_definition(weight), rtol=1e-12)


def test_equal_weights_go_from_the_lower_index():
    assert lamp(np.array([2.0, -2.0, 2.0])).tolist() == [1 / 3, 1 / 2, 1.0]


def test_a_layer_of_zeros_scores_zero_and_an_empty_one_nothing():
    assert lamp(np.zeros((2, 2))).tolist() == [[0, 0], [0, 0]]
    assert lamp(np.zeros((0, 3))).shape == (0, 3)


def test_within_a_layer_it_is_magnitude():
    model = {"w": np.random.default_rng(1).normal(size=(20, 30)).astype(np.float32)}
    for sparsity in (0.1, 0.5, 0.97):
        ours, level = (pruners.masks(model, name, sparsity=sparsity)["w"] for name in ("lamp", "level"))
        np.testing.assert_array_equal(ours, level)


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_over_layers_the_scale_of_a_layer_does_not_matter(scale):
    draw = np.random.default_rng(2)
    model = {"a": draw.normal(size=(30, 30)), "b": draw.normal(size=(5, 5))}
    scaled = {"a": model["a"], "b": model["b"] * scale}
    ours, theirs = (pruners.masks(each, "lamp", sparsity=0.9, scope="model") for each in (model, scaled))
    assert all(np.array_equal(ours[name], theirs[name]) for name in model)
    assert ours["b"].mean() > ours["a"].mean(), "small layers keep more"
