"""What an export says: sizes, times beside the dense export, and what that was."""

from __future__ import annotations

import json

import torch

import pruners

from .networks import mlp, state


def test_the_dense_twin_has_no_zeros_and_leaves_the_model_alone(tmp_path):
    model = pruners.prune(mlp(), "level", sparsity=0.9)
    before = state(model)
    made = pruners.export(model, tmp_path / "net.onnx", torch.ones(1, 64), measure=3)
    assert state(model) == before
    assert made.dense_bytes == made.bytes
    assert "zeros replaced by random numbers" in made.dense
    assert all(each.dense.rounds == each.latency.rounds == 3 for each in made.ran)
    assert sum("Cannot be told" in each and "3 rounds are too few" in each for each in made.sentences()) == 2
    assert json.loads(json.dumps(made.to_dict()))["ran"][0]["runtime"] == "onnxruntime"
    assert "on 1 thread" in str(made)


def test_a_removed_model_is_compared_with_the_one_given(tmp_path):
    dense, model = mlp(), mlp()
    pruners.remove(model, "filter-norm", sparsity=0.5, example_inputs=torch.ones(1, 64), measure=0)
    alone = pruners.export(model, tmp_path / "net.onnx", torch.ones(1, 64), measure=2)
    assert alone.dense_bytes is None
    assert "Pass dense=" in alone.dense
    assert all(each.dense is None and each.latency for each in alone.ran)
    beside = pruners.export(model, tmp_path / "net.onnx", torch.ones(1, 64), dense=dense, measure=2)
    assert beside.bytes == alone.bytes < beside.dense_bytes


def test_nothing_measured_writes_nothing_dense(tmp_path):
    model = pruners.prune(mlp(), "level", sparsity=0.5)
    made = pruners.export(model, tmp_path / "net.pt2", torch.ones(1, 64), to="pt2", measure=0)
    assert made.dense_bytes is None
    assert made.ran[0].latency is None
    assert not any("faster" in each or "Times" in each for each in made.sentences())


def test_threads_are_those_asked_for(tmp_path):
    before = torch.get_num_threads()
    made = pruners.export(mlp(), tmp_path / "net.pt2", torch.ones(1, 64), to="pt2", measure=1, threads=2)
    assert made.threads == 2
    assert "on 2 threads" in str(made)
    assert torch.get_num_threads() == before
