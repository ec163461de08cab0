"""What cannot be exported, run or proved: one clear message, and everything as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import pruners
from pruners import exporting
from pruners.export_targets import Target

from .networks import Unwritable, mlp, state


def test_an_operation_that_cannot_be_written_is_named(tmp_path):
    model = Unwritable().train()
    before = state(model)
    path = tmp_path / "net.onnx"
    path.write_bytes(b"what was there")
    with pytest.raises(pruners.ExportError, match="Unwritable cannot be written as onnx: .*linalg_eig"):
        pruners.export(model, path, torch.ones(4, 4))
    assert state(model) == before
    assert path.read_bytes() == b"what was there"
    assert [each.name for each in tmp_path.iterdir()] == ["net.onnx"]


class Liar:
    """Opens files as ONNX Runtime does, and gives something else."""

    def __init__(self):
        self.honest = pruners.runtime("onnxruntime")

    def open(self, model, *, threads):
        running = self.honest.open(model, threads=threads)
        return lambda inputs: [array + np.float32(0.01) for array in running(inputs)]

    def describe(self):
        return {"runtime": "Liar"}


class Refuses(Liar):
    def open(self, model, *, threads):
        raise pruners.ExportError("it is Sunday")


class Interrupted(Liar):
    def open(self, model, *, threads):
        raise KeyboardInterrupt


def through(monkeypatch, *runtimes):
    aim = Target("onnx", "onnx", tuple((type(each).__name__, each) for each in runtimes))
    monkeypatch.setattr(exporting, "target", lambda to, formats: aim)


def test_a_file_that_gives_something_else_is_not_kept(tmp_path, monkeypatch):
    through(monkeypatch, pruners.runtime("onnxruntime"), Liar())
    with pytest.raises(pruners.ExportError, match=r"in Liar, output 0 of 1, \(2, 10\), differs by"):
        pruners.export(mlp(), tmp_path / "net.onnx", torch.ones(2, 64))
    assert not list(tmp_path.iterdir())


def test_a_runtime_that_cannot_run_it_is_told(tmp_path, monkeypatch):
    through(monkeypatch, Refuses(), pruners.runtime("onnxruntime"))
    made = pruners.export(mlp(), tmp_path / "net.onnx", torch.ones(2, 64), measure=1)
    assert "Not proved in Refuses: it is Sunday." in made.notes
    assert [each.runtime for each in made.ran] == ["OnnxRuntime"]
    through(monkeypatch, Refuses())
    with pytest.raises(pruners.ExportError, match="no runtime runs the export: it is Sunday"):
        pruners.export(mlp(), tmp_path / "other.onnx", torch.ones(2, 64))
    assert [each.name for each in tmp_path.iterdir()] == ["net.onnx"]


def test_an_interrupt_leaves_nothing(tmp_path, monkeypatch):
    through(monkeypatch, Interrupted())
    model = mlp().train()
    before = state(model)
    with pytest.raises(KeyboardInterrupt):
        pruners.export(model, tmp_path / "net.onnx", torch.ones(2, 64))
    assert state(model) == before
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("to", "error", "message"),
    [
        ("onxn", pruners.OptionError, r"to is 'onxn'.*\(onnx, pt2\).*Did you mean 'onnx'\?"),
        ("onnxruntime", pruners.OptionError, "opens onnx files as they are: export to 'onnx'"),
        ("torch-semi-structured", pruners.OptionError, "runs live models of torch and has no file"),
    ],
)
def test_what_cannot_be_exported_to(to, error, message, tmp_path):
    with pytest.raises(error, match=message):
        pruners.export(mlp(), tmp_path / "net.onnx", torch.ones(1, 64), to=to)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("net.bin", {}, "the file of 'onnx' ends in .onnx"),
        ("net.onnx", {"to": "pt2"}, "the file of 'pt2' ends in .pt2"),
        ("net.pt2", {"to": "openvino-int8"}, "the file of 'openvino-int8' ends in .xml"),
        ("nowhere/net.onnx", {}, "give a file in a folder that is there"),
        ("net.onnx", {"measure": -1}, "measure is -1"),
        ("net.onnx", {"threads": 0}, "threads is 0"),
        ("net.onnx", {"tolerance": -1.0}, "tolerance is -1.0"),
    ],
)
def test_values_that_are_not_usable(name, options, message, tmp_path):
    with pytest.raises(pruners.OptionError, match=message):
        pruners.export(mlp(), tmp_path / name, torch.ones(1, 64), **options)
    assert not list(tmp_path.iterdir())


def test_inputs_that_do_not_fit(tmp_path, capfd):
    with pytest.raises(pruners.TraceError, match="Sequential does not run on these example inputs"):
        pruners.export(mlp(), tmp_path / "net.onnx", torch.ones(1, 3))
    assert capfd.readouterr() == ("", "")


def test_what_to_install_is_said(tmp_path, monkeypatch):
    from pruners_torch.exporting import writing

    monkeypatch.setattr(writing, "find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(pruners.ExportError, match=r"'onnxscript'.*pip install 'pruners-torch\[onnx\]'"):
        pruners.export(mlp(), tmp_path / "net.onnx", torch.ones(1, 64))


@pytest.mark.parametrize(
    ("runtime", "name"), [("onnxruntime", "net.onnx"), ("torch-export", "net.pt2"), ("openvino", "net.onnx")]
)
def test_damaged_files(runtime, name, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"\x08\x07damaged")
    with pytest.raises(pruners.ExportError, match=f"cannot open '{name}'"):
        pruners.runtime(runtime).open(path, threads=1)


@pytest.mark.parametrize(
    ("runtime", "to"), [("onnxruntime", "onnx"), ("openvino", "onnx"), ("torch-export", "pt2")]
)
def test_inputs_that_the_file_does_not_take(runtime, to, tmp_path):
    made = pruners.export(mlp(), tmp_path / f"net.{to}", torch.ones(1, 64), to=to, measure=0)
    running = pruners.runtime(runtime).open(made.path, threads=1)
    with pytest.raises(pruners.ExportError, match="takes 1 inputs.*got 2"):
        running([np.ones((1, 64), np.float32)] * 2)
    with pytest.raises(pruners.ExportError, match="cannot run the model"):
        running([np.ones((1, 3), np.float32)])


class TestSemiStructured:
    def test_the_reason_is_named(self):
        runtime = pruners.runtime("torch-semi-structured")
        with pytest.raises(pruners.ExportError, match="the model has no linear layer"):
            runtime.open(nn.ReLU(), threads=1)
        with pytest.raises(pruners.ExportError, match="has 10 x 64 weights"):
            runtime.open(nn.Linear(64, 10), threads=1)
        with pytest.raises(pruners.ExportError, match="more than 2 weights in 1,024 of 1,024 blocks"):
            runtime.open(nn.Sequential(nn.Linear(64, 64)), threads=1)

    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
    def test_without_a_graphics_card(self):
        model = pruners.prune(nn.Linear(64, 64), "level", sparsity=0.5, pattern="nm")
        with pytest.raises(pruners.ExportError, match="no CUDA device"):
            pruners.runtime("torch-semi-structured").open(model, threads=1)

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
    def test_on_a_graphics_card(self):
        model = pruners.prune(nn.Linear(256, 256), "level", sparsity=0.5, pattern="nm")
        before = state(model)
        running = pruners.runtime("torch-semi-structured").open(model, threads=1)
        inputs = torch.randn(64, 256)
        (found,) = running([inputs.numpy()])
        with torch.no_grad():
            wanted = model(inputs).numpy()
        assert np.abs(found.astype(np.float32) - wanted).max() < 1e-2 * np.abs(wanted).max()
        assert state(model) == before
