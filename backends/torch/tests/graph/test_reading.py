"""What pruners are shown of a graph: recorded values, batch by batch, and its layers."""

from __future__ import annotations

import pytest
import torch
from pruners_torch._backend import TorchBackend
from pruners_torch.graph import trace_graph

import pruners


def test_recorded_values_are_those_of_the_module(graphs):
    model, x = graphs.build("plain")
    traced = trace_graph(model, x)
    program = traced.programs["eval"]
    (conv,) = (
        op for op in program.ops if op.kind == "conv" and op.inputs[1] == program.parameters["second.weight"]
    )
    seen = []
    handle = model.second.register_forward_hook(lambda module, args, output: seen.append(output.clone()))
    batches = [graphs.build("plain", batch)[1] for batch in (2, 5)]
    for batch in batches:
        model(batch)
    handle.remove()
    values = [array for name, array in traced.values({"a": conv.outputs[0]}, batches) if name == "a"]
    assert [len(value) for value in values] == [2, 5]
    for value, expected in zip(values, seen, strict=True):
        torch.testing.assert_close(value, expected)


def test_a_graph_has_the_layers_of_its_module(graphs):
    model, x = graphs.build("plain")
    smaller = graphs.shrink(model, x).model
    layers = TorchBackend().open(smaller).layers
    before = TorchBackend().open(model).layers
    assert [*layers] == [*before]
    assert {n: (e.type, e.default, e.bases) for n, e in layers.items()} == {
        n: (e.type, e.default, e.bases) for n, e in before.items()
    }
    assert layers["second.weight"].shape == (12, 8, 3, 3)
    assert "(second): Conv2d(weight=(12, 8, 3, 3), bias=(12,))" in repr(smaller)


@pytest.mark.parametrize("pruner", ["fpgm", "apoz", "thinet"])
def test_pruners_that_look_at_data_choose_in_a_graph(graphs, pruner):
    model, x = graphs.build("plain", batch=6)
    data = [(x, torch.zeros(len(x), dtype=torch.long))]
    options = {"sparsity": 0.5, "example_inputs": x, "data": data, "form": "graph", "measure": 0}
    first = pruners.remove(model, pruner, **options)
    second = pruners.remove(first.model, pruner, **options)
    assert first.parameters.reduction > 0.4 and second.parameters.reduction > 0.4


def test_masks_lie_on_a_graph(graphs):
    model, x = graphs.build("plain")
    smaller = graphs.shrink(model, x).model
    pruners.prune(smaller, sparsity=0.5)
    assert (smaller.second.weight == 0).float().mean() == 0.5
    assert smaller(x).shape == (3, 5)
