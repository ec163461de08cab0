"""A smaller graph computes what the masked module computes, for any batch; the module stays as it was."""

from __future__ import annotations

import copy

import pytest
import torch

NAMES = ("shuffle", "windows", "heads", "dense", "plain")


@pytest.mark.parametrize("name", NAMES)
def test_half_the_channels_leave_and_nothing_else_changes(graphs, name):
    model, x = graphs.build(name)
    before = copy.deepcopy(model.state_dict())
    found = graphs.shrink(model, x)
    assert found.left <= 0.6
    assert found.proof.error <= 1e-12 and found.proof.dtype == "float64"
    assert all(torch.equal(model.state_dict()[key], value) for key, value in before.items())
    assert list(dict(found.model.named_parameters())) == list(dict(model.named_parameters()))
    assert not {p.data_ptr() for p in model.parameters()} & {p.data_ptr() for p in found.model.parameters()}


@pytest.mark.parametrize("batch", [1, 2, 7])
@pytest.mark.parametrize("name", ["shuffle", "windows", "plain"])  # others normalise over what leaves
def test_any_batch_gives_what_the_masked_module_gives(graphs, name, batch):
    model, x = graphs.build(name)
    found = graphs.shrink(model, x)
    reference = graphs.masked(model, found.kept).double()
    _, other = graphs.build(name, batch)
    with torch.no_grad():
        expected, given = reference(other.double()), copy.deepcopy(found.model).double()(other.double())
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(given, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["heads", "dense"])
def test_what_normalises_over_features_takes_any_batch(graphs, name):
    model, x = graphs.build(name)
    smaller = graphs.shrink(model, x).model
    with torch.no_grad():
        alone = torch.cat([smaller(each[None]) for each in x])
        torch.testing.assert_close(smaller(torch.cat([x, x]))[:3], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["heads", "dense"])
def test_the_proof_says_what_was_normalised_over_kept_features(graphs, name):
    model, x = graphs.build(name)
    assert graphs.shrink(model, x).proof.normalised


@pytest.mark.parametrize("name", NAMES)
def test_a_second_removal_starts_from_the_graph(graphs, name):
    model, x = graphs.build(name)
    first = graphs.shrink(model, x, 0.25)
    second = graphs.shrink(first.model, x, 0.25)
    assert second.left < 0.95 and second.proof.error <= 1e-12
    assert type(second.model) is type(first.model)


def test_a_batch_of_one_example_is_enough(graphs):
    model, x = graphs.build("windows", batch=1)
    found = graphs.shrink(model, x, 0.25)
    assert found.model(torch.cat([x, x, x])).shape == (3, 5)
    again = graphs.shrink(found.model, x, 0.25)
    assert again.left < 0.95 and again.model(torch.cat([x, x, x])).shape == (3, 5)


def test_keyword_arguments_nested_inputs_and_outputs(graphs):
    inner, x = graphs.build("plain")

    class Outer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = inner

        def forward(self, images, options, *, double=False):
            y = self.inner(images["x"]) + options[0]
            return {"y": 2 * y if double else y, "rest": [y.mean(), None, 3]}

    model = Outer().eval()
    shift = torch.randn(len(x), 5)
    found = graphs.shrink(model, {"images": {"x": x}, "options": (shift,), "double": True})
    reference = graphs.masked(model, found.kept)
    given = found.model({"x": x}, [shift], double=True)
    expected = reference({"x": x}, (shift,), double=True)
    torch.testing.assert_close(given["y"], expected["y"])
    torch.testing.assert_close(given["rest"][0], expected["rest"][0])
    assert given["rest"][1:] == [None, 3]


def test_tied_weights_stay_one(graphs):
    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.one = torch.nn.Linear(12, 12)
            self.two = torch.nn.Linear(12, 12)
            self.two.weight = self.one.weight
            self.head = torch.nn.Linear(12, 3)
            self.start = torch.nn.Linear(4, 12)

        def forward(self, x):
            return self.head(torch.relu(self.two(torch.relu(self.one(torch.relu(self.start(x)))))))

    torch.manual_seed(0)
    found = graphs.shrink(Tied().eval(), torch.randn(5, 4))
    assert found.model.two.weight is found.model.one.weight
    assert found.model.one.weight.shape == (6, 6)


def test_tensors_of_the_code_are_cut_too(graphs):
    class Shifted(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = torch.nn.Linear(4, 8), torch.nn.Linear(8, 2)
            self.shift = torch.linspace(0, 1, 8)

        def forward(self, x):
            return self.two(torch.relu(self.one(x) + self.shift) * torch.tensor([1.0, 2.0] * 4))

    torch.manual_seed(0)
    model, x = Shifted().eval(), torch.randn(5, 4)
    found = graphs.shrink(model, x)
    assert found.left <= 0.6
    assert [buffer.shape for buffer in found.model.buffers()] == [(4,), (4,)]
    assert [*found.model.state_dict()] == [*model.state_dict()]


def test_parts_without_gradients_and_without_automatic_casts(graphs):
    class Parts(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = torch.nn.Linear(4, 8), torch.nn.Linear(8, 2)

        def forward(self, x):
            with torch.no_grad():
                centre = self.one(x).mean(0, keepdim=True)
            with torch.autocast("cpu", enabled=False):
                return self.two(self.one(x) - centre)

    torch.manual_seed(0)
    model, x = Parts().eval(), torch.randn(5, 4)
    found = graphs.shrink(model, x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert found.model(x).dtype == torch.float32
        with pytest.raises(RuntimeError):
            found.model(x.double())
        assert torch.is_autocast_enabled("cpu")
    assert not torch.is_autocast_enabled("cpu")
    loss = found.model(x).square().sum()
    loss.backward()
    twin = graphs.masked(model, found.kept)
    twin(x).square().sum().backward()
    kept = torch.from_numpy(found.kept["one.weight"][0])
    torch.testing.assert_close(found.model.one.weight.grad, twin.one.weight.grad[kept])
