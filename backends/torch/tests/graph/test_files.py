"""Graphs in files: `pruners.save` and `pruners.load`, without the user's code."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import pruners
from pruners.storage.models import read_arrays
from pruners.structure import history


def removed(graphs, name="shuffle"):
    model, x = graphs.build(name)
    return model, x, pruners.remove(model, sparsity=0.5, example_inputs=x, form="graph", measure=0)


def test_a_graph_is_loaded_without_the_users_code(graphs, tmp_path):
    _, x, removal = removed(graphs)
    path = tmp_path / "small.safetensors"
    pruners.save(removal.model, path)
    back = pruners.load(None, path)
    assert torch.equal(back(x), removal.model(x))
    assert {n: p.shape for n, p in back.named_parameters()} == {
        n: p.shape for n, p in removal.model.named_parameters()
    }
    code = f"""
import pruners, sys
assert "torch" not in sys.modules
model = pruners.load(None, {str(path)!r})
import torch
print(model(torch.ones(4, 3, 4, 4)).sum().item(), type(model).__name__)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    number, name = done.stdout.split()
    assert name == "GraphModel"
    assert float(number) == pytest.approx(float(back(torch.ones(4, 3, 4, 4)).sum().detach()), rel=1e-5)


def test_what_was_kept_goes_into_the_file_and_composes(graphs, tmp_path):
    model, x, first = removed(graphs, "plain")
    second = pruners.remove(first.model, sparsity=0.5, example_inputs=x, form="graph", measure=0)
    pruners.save(second.model, tmp_path / "small.safetensors")
    back = pruners.load(None, tmp_path / "small.safetensors")
    kept = history.kept_of(back)["first.weight"][0]
    assert len(kept) == 4
    assert torch.equal(back.first.weight, model.first.weight[torch.from_numpy(kept)])
    arrays, manifest = read_arrays(tmp_path / "small.safetensors")
    assert manifest.form == "graph" and np.array_equal(arrays["first.bias"], model.first.bias.detach()[kept])


def test_a_program_and_a_module_are_not_mistaken_for_each_other(graphs, tmp_path):
    model, _, removal = removed(graphs, "plain")
    pruners.save(removal.model, tmp_path / "graph.safetensors")
    pruners.save(model, tmp_path / "module.safetensors")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(pruners.StateError, match="whole program.* pass None"):
        pruners.load(model, tmp_path / "graph.safetensors")
    with pytest.raises(pruners.StateError, match="needs its code"):
        pruners.load(None, tmp_path / "module.safetensors")
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())


def test_a_program_that_was_tampered_with_is_refused(graphs, tmp_path):
    _, _, removal = removed(graphs, "plain")
    path = tmp_path / "small.safetensors"
    pruners.save(removal.model, path)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"aten.relu.default", b"aten.tanh.default"))
    with pytest.raises(pruners.StateError, match="checksum"):
        pruners.load(None, path)
    length = int.from_bytes(data[:8], "little")
    program = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["pruners"])["program"]
    assert program["format"] == 1 and "eval" in program["routines"]
