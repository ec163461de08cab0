"""``pruners export`` from end to end."""

from __future__ import annotations

import json

import onnxruntime
import pytest
from click.testing import CliRunner

from pruners.cli import main

NETWORK = """
import torch
import pruners

def dense():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))

def sparse():
    return pruners.prune(dense(), "level", sparsity=0.9)

def inputs():
    return torch.ones(2, 64)

def batches():
    return [(torch.randn(4, 64), torch.zeros(4)) for _ in range(2)]
"""


@pytest.fixture
def pruners_export(tmp_path, monkeypatch):
    (tmp_path / "exported_network.py").write_text(NETWORK)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)

    def run(*arguments):
        return CliRunner().invoke(main, ["export", *arguments])

    return run


MODEL = "exported_network:sparse"


def test_a_table_and_sentences(pruners_export, tmp_path):
    done = pruners_export(MODEL, "--output", "net.onnx", "--shape", "1,64", "--measure", "2")
    assert done.exit_code == 0, done.output
    assert "Proved in ONNX Runtime" in done.stdout
    assert "zeros replaced by random numbers" in done.stdout
    (given,) = onnxruntime.InferenceSession(tmp_path / "net.onnx").get_inputs()
    assert given.shape[1:] == [64]


def test_json(pruners_export, tmp_path):
    done = pruners_export(
        MODEL,
        *("--to", "openvino-int8", "--output", "net.xml", "--inputs", "exported_network:inputs"),
        *("--data", "exported_network:batches", "--dense", "exported_network:dense"),
        *("--threads", "2", "--measure", "1", "--json"),
    )
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["to"] == "openvino-int8"
    assert found["threads"] == 2
    assert found["ran"][0]["examples"] == 8
    assert found["dense"] == "Dense export: the model given as dense."
    assert sorted(found["files"]) == sorted(path.name for path in tmp_path.glob("net.*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((MODEL, "--output", "net.onnx"), "give --inputs module:function or --shape"),
        (
            ("net.safetensors", "--output", "net.onnx", "--shape", "1,64"),
            "holds arrays, and a network is more",
        ),
        ((MODEL, "--output", "net.onnx", "--shape", "1,64", "--to", "onxn"), "Did you mean 'onnx'?"),
        ((MODEL, "--output", "net.onnx", "--shape", "1,65"), "does not run on these example inputs"),
    ],
)
def test_refusals(arguments, message, pruners_export, tmp_path):
    done = pruners_export(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert "Traceback" not in done.output
    assert not list(tmp_path.glob("net.*"))
