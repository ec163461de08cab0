"""Files that `pruners.export` writes, read by other means than Pruners' own."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
import torch
from pruners_torch.exporting import writing
from torch import nn

import pruners

from .networks import Named, NoBatch, Residual, close, expected, mlp, state


def images(batch):
    return torch.randn(batch, 3, 12, 12, generator=torch.Generator().manual_seed(batch))


def zeros(model):
    return pruners.prune(model, "level", sparsity=0.8)


def cut(form):
    def remove(model):
        return pruners.remove(
            model, "filter-norm", sparsity=0.5, example_inputs=(images(1),), form=form, measure=0
        ).model

    return remove


PRUNED = {"zeros": zeros, "in place": cut("module"), "graph": cut("graph")}


@pytest.fixture(params=PRUNED)
def pruned(request):
    torch.manual_seed(0)
    model = Residual()
    for _ in range(3):
        model(torch.randn(8, 3, 12, 12))  # statistics of batch norms that are not those of no data
    return PRUNED[request.param](model)


def onnxruntime_runs(path, *inputs):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    return session.run(None, {name: each.numpy() for name, each in zip(names, inputs, strict=True)})


def openvino_runs(path, *inputs):
    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return list(compiled([each.numpy() for each in inputs]).values())


def test_onnx(pruned, tmp_path):
    before = state(pruned)
    made = pruners.export(pruned, tmp_path / "net.onnx", (images(1),), measure=0)
    assert state(pruned) == before
    assert {each.runtime for each in made.ran} >= {"onnxruntime", "openvino"}
    assert any("free" in note for note in made.notes)
    for batch in (1, 5):
        wanted = expected(pruned, images(batch))
        close(onnxruntime_runs(made.path, images(batch)), wanted)
        close(openvino_runs(made.path, images(batch)), wanted)
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]
    assert made.files == {"net.onnx": (tmp_path / "net.onnx").stat().st_size}


def test_pt2(pruned, tmp_path):
    before = state(pruned)
    made = pruners.export(pruned, tmp_path / "net.pt2", images(1), to="pt2", measure=0)
    assert state(pruned) == before
    program = torch.export.load(made.path).module()
    for batch in (1, 5):
        with torch.no_grad():
            given = program(images(batch))
        close([each.numpy() for each in given.values()], expected(pruned, images(batch)))
    assert [each.runtime for each in made.ran] == ["torch-export"]


def test_zeros_stay_in_the_file_and_are_positive(tmp_path):
    model = zeros(mlp())
    made = pruners.export(model, tmp_path / "net.onnx", torch.ones(1, 64), measure=0)
    held = [onnx.numpy_helper.to_array(each) for each in onnx.load(made.path).graph.initializer]
    weights = [array for array in held if array.ndim == 2]
    count = sum(int((parameter == 0).sum()) for parameter in model.parameters() if parameter.ndim == 2)
    assert sum(int((array == 0).sum()) for array in weights) == count > 0
    assert not any(np.signbit(array[array == 0]).any() for array in weights)


def test_inputs_by_name_come_in_the_order_they_were_given(tmp_path):
    model = Named()
    left, right = torch.randn(2, 16), torch.randn(2, 16)
    made = pruners.export(
        model, tmp_path / "net.onnx", {"right": right, "scale": 3.0, "left": left}, measure=0
    )
    with torch.no_grad():
        wanted = [each.numpy() for each in model(left, right=right, scale=3.0)]
    close(onnxruntime_runs(made.path, right, left), wanted)


def test_a_batch_that_cannot_vary_is_told(tmp_path):
    made = pruners.export(NoBatch(), tmp_path / "net.onnx", torch.randn(1, 16), measure=0)
    assert any("exactly these shapes: given (1, 16)" in note for note in made.notes)


def test_wrapped_modules_are_written_as_the_users_own(tmp_path):
    model = mlp()
    wrapped = nn.DataParallel(model)
    made = pruners.export(wrapped, tmp_path / "net.onnx", torch.ones(1, 64), measure=0)
    close(onnxruntime_runs(made.path, torch.ones(3, 64)), expected(model, torch.ones(3, 64)))
    compiled = torch.compile(model, backend="eager")
    assert pruners.export(compiled, tmp_path / "net.onnx", torch.ones(1, 64), measure=0).ran


def test_weights_that_are_too_large_for_one_file_lie_beside_it(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "_LARGEST", 0)
    model = mlp(256)
    made = pruners.export(model, tmp_path / "net.onnx", torch.ones(1, 256), measure=0)
    assert sorted(made.files) == sorted(path.name for path in tmp_path.iterdir())
    assert len(made.files) == 2
    assert made.files["net.onnx"] < 4 * 256 * 256 < made.bytes
    close(onnxruntime_runs(made.path, torch.ones(2, 256)), expected(model, torch.ones(2, 256)))


def test_half_precision_has_a_tolerance_of_its_own(tmp_path):
    made = pruners.export(
        mlp().half(), tmp_path / "net.onnx", torch.ones(1, 64, dtype=torch.float16), measure=0
    )
    assert {each.tolerance for each in made.ran} == {1e-2}
