"""The sensitivity scan: really pruned, measured, and put back bit for bit."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import pruners
from pruners.sensitivities import LayerSensitivity, Sensitivities


def model():
    return {
        "a": np.array([[4.0, -3.0], [2.0, -1.0]]),
        "b": np.array([[1.0, 1.0, 1.0, 1.0]], np.float32),
        "bias": np.array([5.0]),
    }


def magnitude(arrays):
    return float(sum(np.abs(array).sum() for array in arrays.values()))


def bits(arrays):
    return {name: array.tobytes() for name, array in arrays.items()}


def test_each_metric_is_that_of_one_layer_pruned_alone():
    arrays = model()
    found = pruners.sensitivity(arrays, magnitude, sparsities=[0.5, 0.25, 0.75])
    assert found.sparsities == (0.25, 0.5, 0.75)
    assert found.baseline == 19.0
    assert [layer.name for layer in found.layers] == ["a", "b"]
    assert found.layers[0].metrics == (18.0, 16.0, 13.0)
    assert found.layers[1].metrics == (18.0, 17.0, 16.0)
    assert found.layers[0].reached == (0.25, 0.5, 0.75)


def test_evaluate_sees_exactly_the_weights_that_pruning_gives():
    arrays = model()
    seen = []
    pruners.sensitivity(
        arrays,
        lambda m: seen.append({n: w.copy() for n, w in m.items()}) or 0.0,
        sparsities=[0.5],
        layers="a",
    )
    expected = pruners.prune({"a": model()["a"]}, "level", sparsity=0.5)
    assert len(seen) == 2
    np.testing.assert_array_equal(seen[1]["a"], expected["a"])
    assert not np.signbit(seen[1]["a"][expected["a"] == 0]).any()
    np.testing.assert_array_equal(seen[1]["b"], model()["b"])


def test_the_model_comes_back_bit_for_bit():
    arrays = model()
    arrays["a"][0, 0] = -0.0
    arrays["b"][0, 1] = np.inf
    before, identity = bits(arrays), {name: id(array) for name, array in arrays.items()}
    pruners.sensitivity(arrays, lambda m: 1.0)
    assert bits(arrays) == before
    assert {name: id(array) for name, array in arrays.items()} == identity


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("call", [1, 2, 3, 5])
def test_the_model_comes_back_whenever_evaluate_fails(error, call):
    arrays, calls = model(), []
    before = bits(arrays)

    def evaluate(_):
        calls.append(1)
        if len(calls) == call:
            raise error
        return 1.0

    with pytest.raises(error):
        pruners.sensitivity(arrays, evaluate, sparsities=[0.25, 0.5])
    assert len(calls) == call
    assert bits(arrays) == before


@pytest.mark.parametrize("metric", [None, "good", [1, 2]])
def test_a_metric_that_is_no_number_is_named(metric):
    arrays = model()
    before = bits(arrays)
    with pytest.raises(pruners.OptionError, match="must return one number"):
        pruners.sensitivity(arrays, lambda m: metric)
    assert bits(arrays) == before


def test_the_budget_is_the_largest_sparsity_within_the_drop():
    found = pruners.sensitivity(model(), magnitude, sparsities=[0.25, 0.5, 0.75])
    assert found.budget(drop=0.5) == {"a": 0.0, "b": 0.0}
    assert found.budget(drop=1.0) == {"a": 0.25, "b": 0.25}
    assert found.budget(drop=3.0) == {"a": 0.5, "b": 0.75}


def test_the_budget_goes_straight_into_a_rule():
    arrays = model()
    budget = pruners.sensitivity(arrays, magnitude, sparsities=[0.25, 0.5, 0.75]).budget(drop=3.0)
    pruning = pruners.attach(arrays, pruners.Rule(sparsity=budget, match=tuple(budget)))
    assert pruning.sparsity().layers == {"a": 0.5, "b": 0.75}
    again = model()
    assert pruners.attach(again, budget).sparsity().layers == {"a": 0.5, "b": 0.75}


def curve(*metrics, higher=True):
    layer = LayerSensitivity(name="w", weights=4, metrics=metrics, reached=(0.3, 0.6, 0.9))
    return Sensitivities(
        layers=(layer,), sparsities=(0.3, 0.6, 0.9), baseline=0.9, higher_is_better=higher, skipped={}
    )


@pytest.mark.parametrize(
    ("metrics", "higher", "largest"),
    [
        ((0.9, 0.89, 0.5), True, 0.6),
        ((0.95, 0.99, 0.91), True, 0.9),
        ((0.5, 0.9, 0.9), True, 0.0),  # it must stay within the drop, not come back to it
        ((math.nan, 0.9, 0.9), True, 0.0),
        ((0.9, 0.91, 1.5), False, 0.6),
        ((0.1, 0.1, 0.1), False, 0.9),
    ],
)
def test_the_budget_stays_within_the_drop_all_the_way(metrics, higher, largest):
    assert curve(*metrics, higher=higher).budget(drop=0.01) == {"w": largest}


def test_a_negative_drop_is_refused():
    with pytest.raises(pruners.OptionError, match="-0.1"):
        curve(0.9, 0.9, 0.9).budget(drop=-0.1)


@pytest.mark.parametrize(
    "sparsities",
    [[0.0], [1.0], [0.5, -0.1], [], [True], ["0.5"], 0.5, np.array(0.5), np.array([]), "0.5", None,
     np.array([[0.5, 0.6]]), [np.nan], [None], np.array([True])],
)  # fmt: skip
def test_sparsities_out_of_range_are_refused_before_anything_runs(sparsities):
    with pytest.raises(pruners.OptionError, match="sparsities"):
        pruners.sensitivity(model(), lambda m: pytest.fail("it ran"), sparsities=sparsities)


@pytest.mark.parametrize(
    "sparsities",
    [np.array([0.75, 0.25]), np.array([0.25, 0.75], np.float32), (np.float16(0.25), 0.75, 0.75),
     iter([0.25, 0.75])],
)  # fmt: skip
def test_sparsities_may_be_an_array_or_anything_that_gives_numbers(sparsities):
    found = pruners.sensitivity(model(), magnitude, sparsities=sparsities, layers="a")
    assert found.sparsities == (0.25, 0.75)
    assert [type(each) for each in found.sparsities] == [float, float]
    assert found.layers[0].metrics == (18.0, 13.0)


def test_an_unknown_rounding_is_refused_before_anything_runs():
    with pytest.raises(pruners.PrunersError, match="ceil"):
        pruners.sensitivity(model(), lambda m: pytest.fail("it ran"), rounding="ceil")


def test_layers_are_chosen_by_glob_and_near_names_are_listed():
    assert [layer.name for layer in pruners.sensitivity(model(), magnitude, layers=["a"]).layers] == ["a"]
    with pytest.raises(pruners.RuleError, match="matches no layer"):
        pruners.sensitivity(model(), magnitude, layers="aa")


class Left:
    """Keep the left half of every row, whatever was asked."""

    def mask(self, ranking, sparsity):
        if ranking.name == "b":
            raise pruners.SkipLayer("b is not for halves")
        mask = np.ones(ranking.shape, bool)
        mask[:, ranking.shape[1] // 2 :] = False
        return mask

    def check(self, mask):
        """Accept."""


def test_a_pattern_lays_the_zeros_and_says_what_it_skips():
    found = pruners.sensitivity(model(), magnitude, sparsities=[0.9], pattern=Left())
    assert [(layer.name, layer.metrics, layer.reached) for layer in found.layers] == [("a", (15.0,), (0.5,))]
    assert dict(found.skipped) == {"b": "b is not for halves"}
    assert found.budget(drop=10) == {"a": 0.9}
    assert "a: the pattern reaches only 0.5 for 0.9." in str(found)
    assert "b: not measured, b is not for halves" in str(found)


class Moving:
    """Prune another place at every sparsity, so that no mask contains the one before."""

    def mask(self, ranking, sparsity):
        mask = np.ones(ranking.shape, bool)
        mask.flat[int(sparsity * mask.size)] = False
        return mask

    def check(self, mask):
        """Accept."""


def test_every_sparsity_starts_from_the_dense_layer():
    seen = []
    pruners.sensitivity(
        model(),
        lambda m: seen.append(m["a"].copy()) or 0.0,
        sparsities=[0.25, 0.5],
        layers="a",
        pattern=Moving(),
    )
    np.testing.assert_array_equal(seen[1], [[4, 0], [2, -1]])
    np.testing.assert_array_equal(seen[2], [[4, -3], [0, -1]])


def test_a_pruner_that_allocates_takes_strengths_above_one():
    class Strong:
        unit = "weight"

        def scores(self, view):
            return {name: view.ops.abs(weight) for name, weight in view.weights.items()}

        def allocate(self, view, sparsity):
            return {name: min(0.75, sparsity / 4) for name in view.weights}

    found = pruners.sensitivity(model(), magnitude, pruner=Strong(), sparsities=[1.0, 2.0], layers="a")
    assert found.sparsities == (1.0, 2.0)
    assert found.layers[0].reached == (0.25, 0.5)


def test_the_table_and_plain_values():
    found = pruners.sensitivity(model(), magnitude, sparsities=[0.5])
    text = str(found)
    assert "0.5" in text.splitlines()[0]
    assert next(line for line in text.splitlines() if " a " in line).split() == ["a", "4", "16"]
    assert "Dense: 19; higher is better." in text
    values = found.to_dict()
    assert json.loads(json.dumps(values)) == values
    assert values["layers"][1] == {"name": "b", "weights": 4, "metrics": [17.0], "reached": [0.5]}


def test_metrics_that_are_no_number_are_null_in_plain_values():
    values = curve(math.nan, 0.9, -math.inf).to_dict()
    assert values["layers"][0]["metrics"] == [None, 0.9, None]
    assert json.loads(json.dumps(values, allow_nan=False)) == values


def test_progress_is_not_printed_where_there_is_no_terminal(capsys):
    pruners.sensitivity(model(), magnitude)
    out = capsys.readouterr()
    assert (out.out, out.err) == ("", "")


@pytest.mark.parametrize("count", [2, 20])
def test_the_plot_is_written(tmp_path, count):
    pytest.importorskip("matplotlib")
    arrays = {f"layer{i}": np.arange(1.0, 9).reshape(2, 4) + i for i in range(count)}
    path = tmp_path / "scan.png"
    pruners.sensitivity(arrays, magnitude, sparsities=[0.25, 0.5]).plot(path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 10_000


@pytest.mark.parametrize(
    ("name", "message"),
    [("p.xyz", r"'\.xyz'; choose from .*png"), ("p", "without suffix"), ("no/p.png", "there is no folder")],
)
def test_a_plot_that_cannot_be_written_is_refused(tmp_path, name, message):
    pytest.importorskip("matplotlib")
    with pytest.raises(pruners.OptionError, match=message):
        curve(0.9, 0.9, 0.9).plot(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(pruners.PrunersError, match=r"pip install pruners\[plot\]"):
        curve(0.9, 0.9, 0.9).plot(tmp_path / "x.png")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_a_torch_model_comes_back_bit_for_bit(dtype):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.ConvTranspose2d(2, 4, 3),
        torch.nn.Conv2d(4, 4, 1),
        torch.nn.Embedding(5, 4),
        torch.nn.Linear(4, 4),
    ).to(getattr(torch, dtype))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    parameters = {name: id(parameter) for name, parameter in network.named_parameters()}
    zeros = []

    def evaluate(model):
        zeros.append(sum(int((p == 0).sum()) for p in model.parameters()))
        return 1.0

    found = pruners.sensitivity(network, evaluate, sparsities=[0.5])
    assert [layer.name for layer in found.layers] == ["0.weight", "1.weight", "2.weight", "3.weight"]
    assert zeros == [0, 36, 8, 10, 8]
    after = network.state_dict()
    assert all(torch.equal(before[name].view(torch.uint8), after[name].view(torch.uint8)) for name in before)
    assert {name: id(parameter) for name, parameter in network.named_parameters()} == parameters
