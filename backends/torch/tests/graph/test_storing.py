"""Graphs as tensors and JSON: the same again, in a process without the user's code, from an allow-list."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import subprocess
import sys

import pytest
import torch
from pruners_torch.graph import graph_module, graph_state
from safetensors.torch import load_file, save_file

from pruners import StateError

NAMES = ("shuffle", "windows", "heads", "dense", "plain")


def again(model):
    tensors, manifest = graph_state(model)
    return graph_module(
        {name: each.clone() for name, each in tensors.items()}, json.loads(json.dumps(manifest))
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_graph_comes_back_as_it_was(graphs, name):
    model, x = graphs.build(name)
    model.head.bias.requires_grad_(False)
    smaller = graphs.shrink(model, x).model
    back = again(smaller)
    assert [*back.state_dict()] == [*smaller.state_dict()]
    assert repr(back) == repr(smaller)
    assert not back.head.bias.requires_grad and back.head.weight.requires_grad
    for mode in (False, True):
        back.train(mode), smaller.train(mode)
        torch.manual_seed(0)
        given = back(x)
        torch.manual_seed(0)
        assert torch.equal(given, smaller(x))
    assert graph_state(back)[1] == graph_state(smaller)[1]


def test_another_process_needs_no_code_of_the_user(graphs, tmp_path):
    model, x = graphs.build("windows")
    smaller = graphs.shrink(model, x).model
    tensors, manifest = graph_state(smaller)
    save_file({**{name: each.contiguous() for name, each in tensors.items()}, "x": x}, tmp_path / "small")
    (tmp_path / "graph.json").write_text(json.dumps(manifest))
    code = f"""
import json, torch
from safetensors.torch import load_file, save_file
from pruners_torch.graph import graph_module
tensors = load_file({str(tmp_path / "small")!r})
x = tensors.pop("x")
model = graph_module(tensors, json.load(open({str(tmp_path / "graph.json")!r})))
with torch.no_grad():
    y = model(x)
model.train()(torch.cat([x, x])).sum().backward()
assert all(p.grad is not None for p in model.parameters())
save_file({{"y": y}}, {str(tmp_path / "y")!r})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    torch.testing.assert_close(load_file(tmp_path / "y")["y"], smaller(x).detach())


def test_pickling_and_copying_keep_a_graph(graphs):
    model, x = graphs.build("plain")
    smaller = graphs.shrink(model, x).model
    for twin in (copy.deepcopy(smaller), pickle.loads(pickle.dumps(smaller))):
        assert torch.equal(twin(x), smaller(x))
        assert twin.head.weight is not smaller.head.weight


def test_named_tuples_come_back_under_their_name(graphs):
    from collections import namedtuple

    Two = namedtuple("Two", ["first", "second"])
    inner, x = graphs.build("plain")

    class Outer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return Two(self.inner(x), None)

    smaller = graphs.shrink(Outer().eval(), x).model
    assert type(smaller(x)) is Two
    given = again(smaller)(x)
    assert type(given).__name__ == "Two" and given.second is None
    assert torch.equal(given.first, smaller(x).first)


@dataclasses.dataclass
class Result:
    scores: torch.Tensor
    count: int


def test_dataclasses_come_back_as_named_tuples(graphs):
    torch.export.register_dataclass(Result)
    inner, x = graphs.build("plain")

    class Outer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return Result(self.inner(x), 3)

    smaller = graphs.shrink(Outer().eval(), x).model
    assert type(smaller(x)) is Result
    given = again(smaller)(x)
    assert (type(given).__name__, given.count) == ("Result", 3)
    assert torch.equal(given.scores, smaller(x).scores)


def spoiled(graphs, change):
    model, x = graphs.build("plain")
    tensors, manifest = graph_state(graphs.shrink(model, x, modes=("eval",)).model)
    manifest = json.loads(json.dumps(manifest))
    change(manifest)
    return tensors, manifest


def call(manifest, **parts):
    """Change the first call in the graph for evaluation: its operation, arguments or named arguments."""
    node = next(each for each in manifest["routines"]["eval"]["nodes"] if len(each) > 3)
    for place, name in enumerate(("name", "target", "args", "kwargs")):
        if name in parts:
            node[place] = parts[name]


ATTACKS = {
    "an import": lambda m: call(m, target="os.system"),
    "a builtin": lambda m: call(m, target="builtins.exec"),
    "a method of an operation": lambda m: call(m, target="aten.relu.__class__"),
    "an attribute of the library": lambda m: call(m, target="aten.__dict__.default"),
    "a file of the machine": lambda m: call(m, target="aten.from_file.default"),
    "another library": lambda m: call(m, target="prims.view_of.default"),
    "code as a name": lambda m: call(m, name="x = __import__('os')"),
    "a keyword as a name": lambda m: call(m, name="import"),
    "code as an argument's name": lambda m: call(m, kwargs={"a=print(1), b": 1}),
    "code as an argument": lambda m: call(m, args={"list": [{"code": "print(1)"}]}),
    "an attribute as an argument": lambda m: call(m, args={"list": [{"dtype": "load"}]}),
    "a later node": lambda m: call(m, args={"list": [{"node": "linear"}]}),
    "a tensor that is not listed": lambda m: m["routines"]["eval"]["nodes"][1].__setitem__(2, "missing"),
    "code as a tensor's name": lambda m: m["tensors"][0]["names"].append('a"); print("b'),
    "another format": lambda m: m.update(format=2),
    "no training graph": lambda m: m["routines"].pop("train"),
    "no node": lambda m: m["routines"]["eval"].update(nodes=[]),
    "more inputs than placeholders": lambda m: m["routines"]["eval"]["leaves"].append(
        {"name": "y", "value": 1}
    ),
    "code as a tuple's field": lambda m: m["routines"]["eval"].update(
        outputs={
            "kind": "named",
            "name": "A",
            "keys": {"list": ["a: print(1)"]},
            "children": [{"kind": "leaf"}],
        }
    ),
    "a number in place of a graph": lambda m: m["routines"].update(eval=3),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_file_can_ask_for_operations_on_tensors_alone(graphs, name):
    tensors, manifest = spoiled(graphs, ATTACKS[name])
    with pytest.raises(StateError, match="stored graph"):
        graph_module(tensors, manifest)


def test_a_tensor_that_the_file_lacks_is_named(graphs):
    tensors, manifest = spoiled(graphs, lambda manifest: None)
    tensors.pop("head.weight")
    with pytest.raises(StateError, match=r"head\.weight"):
        graph_module(tensors, manifest)


def test_an_operation_that_cannot_be_stored_is_named(graphs):
    library = torch.library.Library("pruners_tests", "DEF")
    library.define("double(Tensor x) -> Tensor")
    library.impl("double", lambda x: 2 * x, "CompositeImplicitAutograd")

    class Doubling(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = torch.nn.Linear(4, 8), torch.nn.Linear(8, 2)

        def forward(self, x):
            return torch.ops.pruners_tests.double(self.two(torch.relu(self.one(x))))

    from pruners_torch.graph import trace_graph

    model = trace_graph(Doubling().eval(), torch.randn(3, 4)).exported.model
    with pytest.raises(StateError, match="pruners_tests"):
        graph_state(model)
