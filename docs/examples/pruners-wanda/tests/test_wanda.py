"""What is special to Wanda: norms of inputs, rows, and layers that multiply windows."""

import numpy as np
import pytest
from pruners_wanda._wanda import score

import pruners


def test_groups_have_norms_of_their_own():
    weight = np.array([[1.0], [-2.0], [3.0], [4.0]])
    assert score(weight, np.array([[10.0], [1.0]])).tolist() == [[10.0], [20.0], [3.0], [4.0]]


def test_an_empty_layer_has_no_scores():
    assert score(np.zeros((0, 4)), np.ones((1, 4))).shape == (0, 4)
    assert score(np.zeros((4, 0)), np.ones((1, 0))).shape == (4, 0)


def test_without_data_it_says_what_to_pass():
    with pytest.raises(pruners.NeedsData, match="'wanda' needs inputs: pass data=batches"):
        pruners.masks({"w": np.ones((2, 2))}, "wanda", sparsity=0.5, scope="output")


def test_arrays_alone_are_refused_with_the_reason():
    with pytest.raises(pruners.NeedsData, match="a model of this kind cannot be recorded"):
        pruners.masks({"w": np.ones((2, 2))}, "wanda", sparsity=0.5, data=[np.ones((1, 2))])


def test_dense_layers_as_the_paper_has_them():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    first, second = torch.nn.Linear(12, 8), torch.nn.Linear(8, 6)
    model = torch.nn.Sequential(first, torch.nn.ReLU(), second)
    batches = [torch.randn(n, 5, 12) for n in (2, 3)]  # batch, token, feature
    masks = pruners.masks(model, "wanda", sparsity=0.5, scope="output", data=batches)
    with torch.no_grad():
        tokens = torch.cat([each.reshape(-1, 12) for each in batches])
        for name, layer, x in (("0", first, tokens), ("2", second, torch.relu(first(tokens)))):
            expected = layer.weight.abs() * x.norm(dim=0)
            half = layer.weight.shape[1] // 2
            lowest = expected.argsort(dim=1)[:, :half]
            rows = torch.ones_like(expected, dtype=torch.bool).scatter(1, lowest, False)
            assert torch.equal(masks[f"{name}.weight"], rows)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_convolutions_multiply_windows(groups):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=groups)
    x = torch.randn(3, 4, 7, 7)
    found = pruners.scores(torch.nn.Sequential(layer), "wanda", data=[x])["0.weight"]
    windows = torch.nn.functional.unfold(x, 3, stride=2, padding=1)  # batch, in * place, window
    norms = windows.norm(dim=(0, 2)).reshape(groups, 1, 4 // groups, 3, 3)
    weight = layer.weight.detach().abs().reshape(groups, -1, 4 // groups, 3, 3)
    expected = (weight * norms).reshape(layer.weight.shape)
    torch.testing.assert_close(found.float(), expected, rtol=1e-5, atol=0)


def test_a_session_keeps_its_zeros_row_by_row():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(10, 4))
    rule = pruners.Rule(
        pruner="wanda", scope="output", schedule=pruners.schedule("linear", stop=2), sparsity=0.8
    )
    pruning = pruners.attach(model, rule, data=[torch.randn(6, 10)])
    for gone in (4, 8):
        pruning.step()
        assert (model[0].weight == 0).sum(dim=1).tolist() == [gone] * 4
