"""Reports: counts that add up, bytes that are measured, sentences that are true."""

from __future__ import annotations

import json
import zlib

import numpy as np
import pytest

import pruners
from pruners.reports import LayerRow, Report


def model():
    return {
        "a.weight": np.array([[1.0, 0.0], [-0.0, 3.0]], np.float32),
        "b.weight": np.array([[0.0] * 8, [1.0] * 8], np.float64),
        "b.bias": np.zeros(2, np.float32),
    }


def test_each_layer_is_counted_and_biases_are_not_listed():
    found = pruners.report(model())
    assert [row.name for row in found.rows] == ["a.weight", "b.weight"]
    assert [(row.weights, row.zeros, row.nonzeros) for row in found.rows] == [(4, 2, 2), (16, 8, 8)]
    assert [row.stored for row in found.rows] == [16, 128]
    assert found.rows[1].shape == (2, 8)
    assert found.parameters == 4 + 16 + 2


def test_what_is_not_listed_is_counted_but_not_guessed_at():
    sentence = "10 of 20 listed weights are zero: sparsity 0.5000. 2 other parameters are not listed."
    assert pruners.report(model()).sentences()[0] == sentence


def test_total_sparsity_is_zeros_over_weights_and_not_a_mean_of_ratios():
    found = pruners.report({"small": np.zeros((1, 1)), "large": np.ones((1, 9))})
    assert [row.sparsity for row in found.rows] == [1.0, 0.0]
    assert found.sparsity == 0.1


def test_a_model_without_zeros_and_an_empty_layer():
    found = pruners.report({"w": np.ones((2, 2)), "none": np.ones((0, 3))})
    assert (found.sparsity, found.rows[1].sparsity) == (0.0, 0.0)
    assert "compress" not in str(found)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_strided_layers_are_counted_like_packed_ones(dtype):
    weights = np.array([[0, 1, 0], [2, 0, 3]], dtype).T
    row = pruners.report({"w": weights}).rows[0]
    assert (row.zeros, row.stored) == (3, 6 * weights.itemsize)


def test_compressed_sizes_are_what_zlib_makes_of_the_bytes():
    arrays = {"w": np.random.default_rng(0).normal(size=(300, 40)).astype(np.float32)}
    arrays["w"][arrays["w"] < 0.5] = 0
    found = pruners.report(arrays, compressed=True)
    assert found.compressed == found.rows[0].compressed == len(zlib.compress(arrays["w"].tobytes(), 6))
    assert zlib.decompressobj().decompress(zlib.compress(arrays["w"].tobytes(), 6)) == arrays["w"].tobytes()
    assert pruners.report(arrays).compressed is None


def test_layers_larger_than_one_piece_are_deflated_whole(monkeypatch):
    weights = np.random.default_rng(0).integers(0, 3, size=(64, 64)).astype(np.float32)
    whole = pruners.report({"w": weights}, compressed=True).compressed
    monkeypatch.setattr("pruners.reports._CHUNK", 1000)
    assert abs(pruners.report({"w": weights}, compressed=True).compressed - whole) < 64


def test_a_session_tells_masks_from_values():
    weights = np.array([[4.0, 0.5, 3.0, 0.0, 0.0, 2.0, 1.0, 5.0]])
    pruning = pruners.attach({"w": weights}, pruners.Rule("w", sparsity=0.25))
    weights[0, 0] = 0.0  # a kept weight that happens to be zero
    row = pruning.report().rows[0]
    assert (row.masked, row.mask_sparsity) == (2, 0.25)
    assert (row.zeros, row.sparsity) == (3, 0.375)
    assert "Masks hold 2 of the zeros; 1 are zero by value." in str(pruning.report())


def test_a_pruned_weight_that_came_back_is_reported():
    weights = np.array([[4.0, 0.5, 3.0, 1.0]])
    pruning = pruners.attach({"w": weights}, pruners.Rule("w", sparsity=0.5))
    assert pruning.report().rows[0].escaped == 0
    weights[0, 1] = 7.0
    assert pruning.report().rows[0].escaped == 1
    assert "1 weights that masks prune are not zero now" in str(pruning.report())


def test_the_text_has_every_row_the_total_and_is_never_cut():
    name = "a.very." + "long." * 40 + "weight"
    text = str(pruners.report({name: np.zeros((2, 3)), "b": np.ones((3, 2))}))
    assert name in text
    assert "2x3" in text
    total = next(line for line in text.splitlines() if "total" in line)
    assert total.split() == ["total", "12", "6", "0.5000", "96"]


def test_what_zeros_do_not_do_is_said():
    text = str(pruners.report(model()))
    assert "Zeros take space: 144 bytes, as many as dense, until the file is compressed." in text
    assert "nothing is faster without kernels that skip them" in text
    assert "deflate makes them" in str(pruners.report(model(), compressed=True))


def test_plain_values_survive_json():
    values = pruners.report(model(), compressed=True).to_dict()
    assert json.loads(json.dumps(values)) == values
    assert values["layers"][0]["shape"] == [2, 2]
    assert (values["zeros"], values["weights"], values["sparsity"]) == (10, 20, 0.5)


def test_rich_prints_the_same_table():
    from rich.console import Console

    console = Console(width=120)
    with console.capture() as capture:
        console.print(pruners.report(model()))
    assert "b.weight" in capture.get()
    assert "10 of 20 listed weights are zero: sparsity 0.5000." in capture.get()


def test_reading_changes_nothing():
    arrays = model()
    before = {name: array.tobytes() for name, array in arrays.items()}
    pruners.report(arrays, compressed=True)
    assert {name: array.tobytes() for name, array in arrays.items()} == before


def test_compressed_total_is_unknown_when_one_layer_is():
    row = LayerRow(name="a", type="x", shape=(2,), weights=2, zeros=1, compressed=9)
    assert Report((row,), 2).compressed == 9
    other = LayerRow(name="b", type="x", shape=(2,), weights=2, zeros=1)
    assert Report((row, other), 4).compressed is None


def test_a_model_of_no_framework_is_refused():
    with pytest.raises(pruners.NoBackend, match="list"):
        pruners.report([1, 2, 3])


@pytest.mark.parametrize(("dtype", "size"), [("float16", 2), ("bfloat16", 2), ("float32", 4)])
def test_a_torch_model_is_counted_as_stored_and_tied_weights_once(dtype, size):
    torch = pytest.importorskip("torch")
    network = torch.nn.Sequential(
        torch.nn.Embedding(6, 4), torch.nn.Linear(4, 6), torch.nn.ConvTranspose1d(2, 3, 2)
    )
    network[1].weight = network[0].weight
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(1)
        network[0].weight[0] = -0.0
        network[2].weight[0] = 0
    found = pruners.report(network.to(getattr(torch, dtype)), compressed=True)
    assert [(row.weights, row.zeros, row.stored) for row in found.rows] == [
        (24, 4, 24 * size),
        (12, 6, 12 * size),
    ]
    assert found.rows[1].shape == (3, 2, 2)
    assert found.parameters == 24 + 6 + 12 + 3
    assert found.compressed > 0
