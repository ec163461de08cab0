"""OpenVINO in int8: converted, packed while it runs, judged rather than proved."""

from __future__ import annotations

import numpy as np
import openvino
import pytest
import torch

import pruners

from .networks import expected, mlp


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return pruners.prune(mlp(256), "level", sparsity=0.9)


@pytest.fixture(scope="module")
def batches():
    drawn = torch.Generator().manual_seed(0)
    return [(torch.randn(8, 256, generator=drawn), torch.zeros(8)) for _ in range(4)]


@pytest.fixture(scope="module")
def made(model, batches, tmp_path_factory):
    path = tmp_path_factory.mktemp("int8") / "net.xml"
    return pruners.export(model, path, torch.ones(1, 256), to="openvino-int8", data=batches, measure=2)


def test_the_file_is_openvinos_own_and_holds_int8(made, model, batches):
    assert sorted(made.files) == ["net.bin", "net.xml"]
    network = openvino.Core().read_model(made.path)
    kinds = {node.get_element_type().get_type_name() for node in network.get_ops() if not node.inputs()}
    assert "i8" in kinds
    compiled = openvino.Core().compile_model(network, "CPU")
    inputs = batches[0][0]
    found = compiled([inputs.numpy()])[0]
    (wanted,) = expected(model, inputs)
    assert np.abs(found - wanted).max() < 0.1 * np.abs(wanted).max()


def test_zeros_stay_zeros(made):
    constants = [
        np.array(node.get_data())
        for node in openvino.Core().read_model(made.path).get_ops()
        if node.get_type_name() == "Constant" and node.get_element_type() == openvino.Type.i8
    ]
    weights = [array for array in constants if array.ndim == 2]
    assert len(weights) == 3
    assert all((array == 0).mean() >= 0.9 - 0.5 / array.shape[0] for array in weights)


def test_it_is_judged_on_every_batch(made):
    (ran,) = made.ran
    assert ran.rounded
    assert 0 < ran.error < 0.1
    assert ran.examples == 32
    assert ran.agreement > 0.8
    assert ran.proof.startswith("Rounded, so not equal")
    assert made.dense_bytes is not None


def test_the_rate_is_set_where_it_is_asked_for(made):
    arrays = [np.ones((1, 256), np.float32)]
    outputs = []
    for rate in (1.0, 0.5):
        runtime = pruners.runtime("openvino-int8", sparse_rate=rate)
        running = runtime.open(made.path, threads=1)
        outputs.append(running(arrays)[0])
        (request,) = running.requests.values()
        compiled = request.get_compiled_model()
        assert compiled.get_property("CPU_SPARSE_WEIGHTS_DECOMPRESSION_RATE") == pytest.approx(rate)
        assert compiled.get_property("INFERENCE_NUM_THREADS") == 1
        assert compiled.get_property("NUM_STREAMS") == 1
    assert np.allclose(*outputs, atol=1e-3)


def test_without_data_it_says_so(model, tmp_path):
    made = pruners.export(model, tmp_path / "net.xml", torch.randn(4, 256), to="openvino-int8", measure=0)
    assert any("example inputs alone" in note for note in made.notes)
    assert made.ran[0].examples == 4


def test_refusals(model, batches, tmp_path):
    path = tmp_path / "net.xml"
    with pytest.raises(pruners.NeedsData, match="data gave no batch"):
        pruners.export(model, path, torch.ones(1, 256), to="openvino-int8", data=[])
    with pytest.raises(pruners.ExportError, match="in openvino-int8, output 0 of 1"):
        pruners.export(
            model, path, torch.ones(1, 256), to="openvino-int8", data=batches, tolerance=1e-9, measure=0
        )
    with pytest.raises(pruners.OptionError, match="'sparse_rate' must be <= 1"):
        pruners.runtime("openvino-int8", sparse_rate=90)
    assert not list(tmp_path.iterdir())
