"""What is special to SNIP: shares of a whole, gradients, and the mode a model runs in."""

import numpy as np
import pytest

import pruners


def loss(model, batch):
    """Return a loss and its gradients, which are the batch."""
    return 0.0, batch


def test_scores_are_shares_of_all_layers_together():
    model = {"a": np.array([[2.0, -5.0]]), "b": np.array([[-1.0]])}
    batch = {"a": np.array([[0.5, 0.2]]), "b": np.array([[6.0]])}
    found = pruners.scores(model, "snip", data=[batch], loss=loss)
    assert found["a"].tolist() == [[1 / 8, 1 / 8]] and found["b"].tolist() == [[6 / 8]]


def test_gradients_are_averaged_before_they_are_multiplied():
    model = {"w": np.array([[1.0, 1.0]])}
    batches = [{"w": np.array([[3.0, 1.0]])}, {"w": np.array([[-3.0, 1.0]])}]
    assert pruners.scores(model, "snip", data=batches, loss=loss)["w"].tolist() == [[0.0, 1.0]]


def test_without_any_gradient_all_scores_are_zero():
    model = {"w": np.ones((2, 2))}
    found = pruners.scores(model, "snip", data=[{"w": np.zeros((2, 2))}], loss=loss)
    assert not found["w"].any()


def test_without_data_it_says_what_to_pass():
    with pytest.raises(pruners.NeedsData, match=r"'snip' needs gradients: pass data=batches and loss="):
        pruners.masks({"w": np.ones((2, 2))}, "snip", sparsity=0.5)


def test_a_module_is_pruned_once_at_initialisation():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten(), torch.nn.Linear(144, 3)
    )
    batch = torch.randn(8, 1, 8, 8), torch.randint(0, 3, (8,))

    def in_training_mode(model, batch):
        model.train()
        return torch.nn.functional.cross_entropy(model(batch[0]), batch[1])

    model.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    scores = pruners.scores(model, "snip", data=[batch], loss=in_training_mode)
    assert not model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())

    in_training_mode(model, batch).backward()
    felt = {n: (p * p.grad).abs().double() for n, p in model.named_parameters() if n in scores}
    total = sum(each.sum() for each in felt.values())
    for name, each in felt.items():
        torch.testing.assert_close(scores[name], each / total, rtol=1e-4, atol=1e-8)

    pruners.prune(model, "snip", sparsity=0.9, scope="model", data=[batch], loss=in_training_mode)
    weights = [model[0].weight, model[3].weight]
    zeros, count = sum(int((w == 0).sum()) for w in weights), sum(w.numel() for w in weights)
    assert zeros == int(0.9 * count)
