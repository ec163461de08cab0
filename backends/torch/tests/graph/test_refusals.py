"""What cannot be done is said, by name, and changes nothing."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from pruners_torch.graph import exporting, recording, sizes, trace_graph, work
from torch import nn

import pruners
from pruners.structure.plan import RemovalPlan


class Deciding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, x):
        y = self.one(x)
        return self.two(y) if y.sum() > 0 else self.two(-y)


def test_a_module_that_cannot_be_exported_is_refused_with_the_cause(capfd):
    with pytest.raises(pruners.TraceError, match=r'Deciding cannot be exported .* form="module"') as caught:
        trace_graph(Deciding().eval(), torch.randn(3, 4))
    assert caught.value.__cause__ is not None
    assert capfd.readouterr() == ("", "")


def test_an_old_pytorch_is_told_from_a_new_one(monkeypatch):
    monkeypatch.setattr(exporting, "_LACKING", True)
    with pytest.raises(pruners.TraceError, match=r"needs PyTorch 2\.7 or later.*form=\"module\""):
        trace_graph(nn.Linear(2, 2), torch.randn(3, 2))


def test_a_graph_that_gives_other_numbers_is_refused():
    class Remembering(Deciding):
        calls = 0

        def forward(self, x):
            type(self).calls += 1
            return self.two(torch.relu(self.one(x)) * float(type(self).calls))

    with pytest.raises(pruners.TraceError, match="gives other numbers than the module itself"):
        trace_graph(Remembering().eval(), torch.randn(3, 4))


def test_a_training_pass_that_cannot_be_exported_is_derived():
    class Halting(Deciding):
        def forward(self, x):
            if self.training and x.sum() > 0:
                return self.two(self.one(x))
            return self.two(torch.nn.functional.dropout(self.one(x), 0.5, self.training))

    torch.manual_seed(0)
    traced = trace_graph(Halting().eval(), torch.randn(3, 4))
    assert tuple(traced.programs) == ("eval",)
    assert "derived" in traced.exported.notes[0]
    x = torch.randn(3, 4)
    assert not torch.equal(traced.exported.model.train()(x), traced.exported.model(x))


@pytest.mark.parametrize("modes", [("test",), ()])
def test_unknown_modes_are_refused(modes):
    with pytest.raises(pruners.OptionError, match="modes must be among eval, train"):
        trace_graph(nn.Linear(2, 2), torch.randn(3, 2), modes)


def test_wrong_inputs_are_named(graphs):
    model, x = graphs.build("plain")
    smaller = graphs.shrink(model, x).model
    for given, message in (
        ((x[0],), r"input 'x' has shape \(3, 6, 6\); this program takes \(batch, 3, 6, 6\)"),
        ((x[:, :1],), r"takes \(batch, 3, 6, 6\), with batch at least 1"),
        (("x",), "input 'x' is a str; it must be a tensor"),
        ((x, x), "the arguments: got a tuple of 2; this program takes a tuple of 1"),
        (([x],), "input 'x' is a list"),
    ):
        with pytest.raises(pruners.OptionError, match=message):
            smaller(*given)
    assert smaller(x=x).shape == smaller(x).shape == (3, 5)


def test_a_value_that_is_part_of_the_graph_is_named():
    class Scaled(nn.Linear):
        def forward(self, x, scale=1.0):
            return super().forward(x) * scale

    model = trace_graph(Scaled(4, 3).eval(), (torch.randn(3, 4), 2.0)).exported.model
    assert model(torch.randn(5, 4), 2.0).shape == (5, 3)
    with pytest.raises(pruners.OptionError, match=r"input 'scale' is 3\.0; the model was exported with 2\.0"):
        model(torch.randn(5, 4), 3.0)


def test_a_batch_that_cannot_vary_stays_fixed():
    class Fixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(4, 8), nn.Linear(8 * 3, 2)

        def forward(self, x):
            return self.two(torch.relu(self.one(x)).reshape(1, 24))

    model = trace_graph(Fixed().eval(), torch.randn(3, 4)).exported.model
    assert model(torch.randn(3, 4)).shape == (1, 2)
    with pytest.raises(pruners.OptionError, match=r"takes \(3, 4\)"):
        model(torch.randn(2, 4))


def planned(traced, widths: Mapping[int, list[int]]):
    """Keep these coordinates of every axis of that length."""
    kept = {length: np.array(indices) for length, indices in widths.items()}
    program = traced.programs["eval"]

    def coordinates(mode, value):
        return tuple(kept.get(length) for length in traced.programs[mode].shapes[value])

    tensors = {
        name: {axis: kept[n] for axis, n in enumerate(program.shapes[value]) if n in kept}
        for name, value in program.parameters.items()
    }
    return RemovalPlan({name: axes for name, axes in tensors.items() if axes}), coordinates


class Strange(nn.Module):
    """Reads single coordinates of an axis that a plan made by hand shortens."""

    def __init__(self) -> None:
        super().__init__()
        self.part = nn.Linear(4, 12)
        self.head = nn.Linear(1, 2)

    def forward(self, x):
        return self.head(self.part(x)[:, 11].unsqueeze(1))


def test_the_node_that_cannot_be_rewritten_is_named():
    model = Strange().eval()
    before = copy.deepcopy(model.state_dict())
    traced = trace_graph(model, torch.randn(3, 4))
    plan, coordinates = planned(traced, {12: [0, 2, 4]})
    with pytest.raises(pruners.RemovalError, match=r"node 'select' \(aten\.select .*test_refusals\.py:\d+\)"):
        traced.remove(plan, coordinates)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())


def test_an_unknown_operation_with_a_size_is_named(monkeypatch):
    class Viewing(Deciding):
        def forward(self, x):
            return self.two(torch.relu(self.one(x)).view(-1, 4, 2).reshape(-1, 8))

    monkeypatch.delitem(work.HANDLERS, "view")
    traced = trace_graph(Viewing().eval(), torch.randn(3, 4))
    plan, coordinates = planned(traced, {8: [0, 1, 6, 7]})

    def halves(mode, value):
        shape = traced.programs[mode].shapes[value]
        return (None, np.array([0, 3]), None) if shape == (3, 4, 2) else coordinates(mode, value)

    with pytest.raises(pruners.RemovalError, match=r"node 'view' .* has the length 4 as an argument"):
        traced.remove(plan, halves)


def test_a_node_that_is_called_in_an_unknown_way_is_named(graphs, monkeypatch):
    monkeypatch.setitem(work.HANDLERS, "view", lambda *_: {}["nothing"])
    model, x = graphs.build("shuffle")
    with pytest.raises(pruners.RemovalError, match=r"node 'view' \(aten\.view.*unknown way \(KeyError"):
        graphs.shrink(model, x)


def test_the_node_that_fails_is_named(graphs, monkeypatch):
    monkeypatch.setitem(work.HANDLERS, "view", lambda *_: {})
    model, x = graphs.build("shuffle")
    before, optimizer = copy.deepcopy(model.state_dict()), torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(pruners.ProofError, match=r"the smaller graph fails at node 'view' \(aten\.view"):
        graphs.shrink(model, x, optimizer=optimizer)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
    assert {id(p) for p in optimizer.param_groups[0]["params"]} == {id(p) for p in model.parameters()}


def test_the_node_that_differs_is_named(graphs, monkeypatch):
    monkeypatch.setitem(work.HANDLERS, "scaled_dot_product_attention", lambda *_: {})
    model, x = graphs.build("heads")
    with pytest.raises(pruners.ProofError, match=r"node 'scaled_dot_product_attention' .* first to differ"):
        graphs.shrink(model, x)


def test_every_handler_returns_what_its_operation_takes():
    """A name that no schema has would only be found out by the one network that needs it."""
    assert recording and sizes
    known = {name.partition("::")[2] for name in torch._C._dispatch_get_all_op_names()}
    bases = {name.partition(".")[0].rstrip("_") for name in known} | {"rms_norm", "set", "resize"}
    assert set(work.HANDLERS) <= bases
