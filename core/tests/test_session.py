"""Sessions on the NumPy backend: what is due when, what is kept, saved, taken up and refused."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from attrs import frozen

import pruners
from pruners.registry import backend_for


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {
        "conv.weight": generator.standard_normal((8, 4, 3, 3)).astype(np.float32),
        "fc.weight": generator.standard_normal((10, 32)).astype(np.float32),
        "fc.bias": generator.standard_normal(10).astype(np.float32),
    }


@frozen
class Steps:
    """A schedule with the two methods the protocol asks for, and nothing more."""

    values: tuple[float, ...]

    def sparsity(self, step: int) -> float:
        return self.values[min(step, len(self.values) - 1)]

    def due(self, step: int) -> bool:
        return step < len(self.values)


@frozen
class Largest:
    """Keeps the smallest weights."""

    unit: str = "weight"

    def scores(self, view):
        return {name: -view.ops.abs(weight) for name, weight in view.weights.items()}


def noise(model, seed):
    """Move every weight, as an optimizer would."""
    generator = np.random.default_rng(seed)
    for array in model.values():
        array += generator.standard_normal(array.shape).astype(array.dtype)


def test_masks_follow_the_schedule_and_weights_never_come_back():
    model = arrays()
    rule = pruners.Rule(sparsity=None, schedule=Steps((0.0, 0.25, 0.25, 0.5, 0.75)))
    pruning = pruners.attach(model, rule)
    before = {name: np.ones(mask.shape, bool) for name, mask in pruning.masks.items()}
    for step in range(1, 7):
        noise(model, step)
        pruning.step()
        for name, mask in pruning.masks.items():
            assert (mask <= before[name]).all(), "a pruned weight came back"
            assert (~mask).sum() == int(rule.schedule.sparsity(step) * mask.size)
            assert (model[name][~mask] == 0).all() and not np.signbit(model[name][~mask]).any()
            before[name] = mask
    assert [update.step for update in pruning.log] == [0, 1, 2, 3, 4]
    assert pruning.sparsity().total == pruning.log[-1].sparsity == 0.75
    assert (model["fc.bias"] != 0).all()


def test_several_rules_with_different_pruners_patterns_and_schedules():
    model = arrays()
    pruning = pruners.attach(
        model,
        [
            pruners.Rule(sparsity=0.25),
            pruners.Rule("fc", pruner=Largest(), schedule=Steps((0.0, 0.5)), pattern=pruners.pattern("nm")),
        ],
    )
    assert pruning.sparsity().layers == {"conv.weight": 0.25, "fc.weight": 0.0}
    pruning.step()
    assert pruning.sparsity().layers == {"conv.weight": 0.25, "fc.weight": 0.5}
    groups = pruning.masks["fc.weight"].reshape(10, 8, 4)
    assert (groups.sum(-1) == 2).all()
    reference = np.abs(arrays()["fc.weight"].reshape(10, 8, 4))
    assert np.all(np.where(groups, reference, 0).max(-1) <= np.where(groups, np.inf, reference).min(-1))


def test_sparsity_is_zeros_over_listed_weights_and_never_a_mean_of_ratios():
    model = {"a": np.ones((1, 10)), "b": np.ones((30, 10))}
    pruning = pruners.attach(model, {"a": 0.9, "b": 0.1})
    assert pruning.sparsity() == ({"a": 0.9, "b": 0.1}, (9 + 30) / 310)


def test_a_kept_weight_that_happens_to_be_zero_is_counted():
    model = {"a": np.array([[0.0, 1.0, 2.0, 3.0]])}
    pruning = pruners.attach(model, pruners.Rule(sparsity=0.5, pruner=Largest()))
    assert pruning.masks["a"].tolist() == [[True, True, False, False]]
    assert pruning.sparsity().total == 0.75


def test_optimizer_state_given_as_arrays_is_cleared_where_pruned():
    model = arrays()
    slots = {"fc.weight": {"m": np.ones((10, 32)), "v": np.ones((10, 32)), "t": np.ones(1)}}
    pruning = pruners.attach(model, pruners.Rule("fc", sparsity=0.5), slots)
    mask = pruning.masks["fc.weight"]
    for key in ("m", "v"):
        np.testing.assert_array_equal(slots["fc.weight"][key], mask.astype(float))
    assert slots["fc.weight"]["t"] == 1


def test_a_state_is_json_and_resumes():
    rule = pruners.Rule(schedule=Steps((0.0, 0.2, 0.4, 0.6, 0.8)))
    whole_model = arrays()
    whole = pruners.attach(whole_model, rule)
    for step in range(2):
        noise(whole_model, step)
        whole.step()
    state = json.loads(json.dumps(whole.state_dict()))
    model = copy.deepcopy(whole_model)
    resumed = pruners.attach(model, pruners.Rule(schedule=Steps((0.0, 0.2, 0.4, 0.6, 0.8))))
    resumed.load_state_dict(state)
    for session, weights in ((whole, whole_model), (resumed, model)):
        for step in range(2, 6):
            noise(weights, step)
            session.step()
    assert whole.state_dict() == resumed.state_dict()
    for name in model:
        np.testing.assert_array_equal(model[name], whole_model[name])


def broken_states():
    def edit(change):
        def apply(state):
            change(state)
            return state

        return apply

    fc = "fc.weight"
    return [
        ("nothing", lambda state: {}, "not the state of a pruning session"),
        ("format", edit(lambda s: s.update(format=99)), "format 99, this version reads 1"),
        ("clock", edit(lambda s: s.update(clock="hours")), "clock 'hours'"),
        ("missing", edit(lambda s: s.pop("time")), "damaged: KeyError: 'time'"),
        (
            "layer gone",
            edit(lambda s: s["layers"].pop(fc)),
            "prunes layer 'fc.weight', which the state lacks",
        ),
        (
            "layer more",
            edit(lambda s: s["layers"].update(x=s["layers"][fc])),
            "layer 'x', which this session",
        ),
        (
            "shape",
            edit(lambda s: s["layers"][fc].update(shape=[32, 10])),
            r"\(32, 10\) in the state, \(10, 32\)",
        ),
        ("short mask", edit(lambda s: s["layers"][fc].update(mask="AAAA")), "has 3 bytes, its shape"),
        ("not base64", edit(lambda s: s["layers"][fc].update(mask="?!")), "is damaged"),
        (
            "huge shape",
            edit(lambda s: s["layers"][fc].update(shape=[2**40, 2**40])),
            "bytes, its shape|damaged",
        ),
        ("negative", edit(lambda s: s["layers"][fc].update(shape=[-10, -32])), "bytes, its shape"),
        (
            "plan",
            edit(lambda s: s["layers"][fc].update(plan="other")),
            r"other rules\. Saved: other\. Now: .*Level",
        ),
        ("prepared", edit(lambda s: s.update(prepared=3)), "damaged"),
        ("fewer rules", edit(lambda s: s.update(prepared=[])), "has 0 rules at work, this session 1"),
        ("before time", edit(lambda s: s.update(time=-5)), "time -5, it cannot be negative"),
    ]


@pytest.mark.parametrize(
    ("change", "message"), [case[1:] for case in broken_states()], ids=[c[0] for c in broken_states()]
)
def test_a_state_that_does_not_fit_changes_nothing(change, message):
    model = arrays()
    pruning = pruners.attach(model, pruners.Rule(sparsity=0.5))
    pruning.step()
    before, state = copy.deepcopy(model), pruning.state_dict()
    with pytest.raises(pruners.StateError, match=message):
        pruning.load_state_dict(change(copy.deepcopy(state)))
    assert pruning.state_dict() == state
    for name in model:
        np.testing.assert_array_equal(model[name], before[name])


def test_other_rules_do_not_take_up_a_state():
    state = pruners.attach(arrays(), pruners.Rule(sparsity=0.5)).state_dict()
    for rule in (
        pruners.Rule(sparsity=0.6),
        pruners.Rule(sparsity=0.5, scope="model"),
        pruners.Rule(sparsity=0.5, pruner="random"),
        pruners.Rule(sparsity=0.5, pattern="nm"),
        pruners.Rule(sparsity=0.5, schedule="linear"),
    ):
        if rule.schedule == "linear":
            rule = pruners.Rule(sparsity=0.5, schedule=pruners.schedule("linear", start=0, stop=5, every=1))
        with pytest.raises(pruners.StateError, match="saved under other rules"):
            pruners.attach(arrays(), rule).load_state_dict(state)


def test_a_schedule_with_its_own_ends_refuses_others():
    with pytest.raises(pruners.RuleError, match="Steps sets its own ends; leave sparsity= out"):
        pruners.attach(arrays(), pruners.Rule(sparsity=0.5, schedule=Steps((0.0, 0.5))))
    with pytest.raises(pruners.RuleError, match="leave restore=True out"):
        pruners.attach(arrays(), pruners.Rule(schedule=Steps((0.0, 0.5))), restore=True)


def test_restoring_a_layer_that_is_all_zeros_holds_it():
    model = {"gone": np.zeros((2, 4)), "there": np.ones((2, 4))}
    rule = pruners.Rule(sparsity=0.5, schedule=pruners.schedule("linear", start=0, stop=2, every=1))
    pruning = pruners.attach(model, rule, restore=True)
    for _ in range(3):
        pruning.step()
    assert pruning.sparsity().layers == {"gone": 1.0, "there": 0.5}


def test_a_schedule_does_not_take_a_quality_parameter_above_one():
    rule = pruners.Rule(
        sparsity=1.5,
        pruner="sensitivity",
        schedule=pruners.schedule("linear", start=0, stop=2, every=1),
    )
    with pytest.raises(pruners.OptionError, match=r"rule \('\*',\): .*final_sparsity.*1\.5"):
        pruners.attach(arrays(), rule)
    assert pruners.attach(arrays(), pruners.Rule(sparsity=1.5, pruner="sensitivity")).sparsity().total > 0.8


def test_a_schedule_without_an_end_says_so_at_once():
    ramp = pruners.schedule("linear", start=0, stop=5, every=1)
    with pytest.raises(pruners.OptionError, match="final_sparsity"):
        pruners.attach(arrays(), pruners.Rule(schedule=ramp))


def test_a_read_only_array_is_refused_before_anything_changes():
    model = arrays()
    model["fc.weight"].flags.writeable = False
    before = copy.deepcopy(model)
    with pytest.raises(pruners.OptionError, match=r"'fc\.weight' is read-only; pass a writable copy"):
        pruners.attach(model, pruners.Rule(sparsity=0.5))
    for name in model:
        np.testing.assert_array_equal(model[name], before[name])


def test_a_pattern_that_cannot_lie_on_a_layer_warns_once_and_is_reported():
    model = {"first.weight": np.ones((8, 1, 3, 3)), "second.weight": np.ones((8, 64, 1, 1))}
    with pytest.warns(pruners.SkippedLayer, match=r"'first\.weight' stays dense") as seen:
        pruning = pruners.attach(model, pruners.Rule(schedule=Steps((0.25, 0.5)), pattern="bank"))
        pruning.step()
    assert len(seen) == 1
    assert list(pruning.skipped) == ["first.weight"]
    assert "skipped" in str(pruning.report())
    assert pruning.sparsity().layers == {"first.weight": 0.0, "second.weight": 0.5}


def test_objects_with_named_arrays_are_models_too():
    class Model:
        def __init__(self):
            self.w = np.array([[3.0, -1.0], [0.5, -2.0]])
            self.rate = 0.1

    model = Model()
    assert pruners.prune(model, "level", sparsity=0.5) is model
    assert model.w.tolist() == [[3.0, 0.0], [0.0, -2.0]]


def test_gradients_come_from_the_users_loss():
    class Slope:
        unit = "weight"

        def scores(self, view):
            gradients = view.gradients()
            return {name: view.ops.abs(gradients[name]) for name in view.weights}

    model = {"w": np.ones((1, 4))}

    def loss(weights, batch):
        return float((weights["w"] * batch).sum()), {"w": batch}

    data = [np.array([[1.0, 2.0, 3.0, 4.0]]), np.array([[9.0, 0.0, 0.0, 0.0]])]
    masks = pruners.masks(model, Slope(), sparsity=0.5, data=data, loss=loss)
    assert masks["w"].tolist() == [[True, False, False, True]]
    with pytest.raises(pruners.NeedsData, match="data=batches and loss="):
        pruners.masks(model, Slope(), sparsity=0.5)
    with pytest.raises(pruners.NeedsData, match="no gradient for 'w'"):
        pruners.masks(model, Slope(), sparsity=0.5, data=data, loss=lambda weights, batch: (0.0, {}))


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_saving_arrays(tmp_path, suffix):
    model = arrays()
    path = str(tmp_path / f"model.{suffix}")
    backend_for(model).open(model).save(path)
    if suffix == "npz":
        loaded = dict(np.load(path))
    else:
        from safetensors.numpy import load_file

        loaded = load_file(path)
    for name, array in model.items():
        np.testing.assert_array_equal(loaded[name], array)


def halves(n, s):
    return n // 2, "lower"


@pytest.mark.parametrize("rounding", [halves, ["multiple", 8], ("multiple", 8)], ids=str)
def test_a_state_is_taken_up_again_under_every_kind_of_rounding(rounding):
    rule = pruners.Rule(sparsity=0.5, rounding=rounding)
    state = pruners.attach(arrays(), rule).state_dict()
    assert " at 0x" not in json.dumps(state), "an address would be another in the next process"
    again = pruners.attach(arrays(), pruners.Rule(sparsity=0.5, rounding=rounding))
    again.load_state_dict(json.loads(json.dumps(state)))
    assert again.state_dict() == state


def test_what_is_recorded_has_the_sessions_time_and_sparsity():
    pruning = pruners.attach(arrays(), pruners.Rule(schedule=Steps((0.0, 0.25, 0.5))))
    pruning.record(accuracy=0.9, loss=np.float32(1.5))
    pruning.step()
    pruning.record(accuracy=np.array([0.8]))
    pruning.finish()
    pruning.record(accuracy=1)
    assert [(entry.step, entry.sparsity, entry.metrics) for entry in pruning.history] == [
        (0, 0.0, {"accuracy": 0.9, "loss": 1.5}),
        (1, 0.25, {"accuracy": 0.8}),
        (1, 0.25, {"accuracy": 1.0}),
    ]
    assert all(type(value) is float for entry in pruning.history for value in entry.metrics.values())
    assert [update.step for update in pruning.log] == [0, 1]


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ({}, "at least one number by its name"),
        ({"good": 1.0, "accuracy": "0.9"}, "accuracy must be one number, got '0.9'"),
        ({"accuracy": None}, "accuracy must be one number, got None"),
        ({"accuracy": True}, "accuracy must be one number, got True"),
        ({"accuracy": np.zeros(2)}, "accuracy must be one number"),
        ({"accuracy": 1j}, "accuracy must be one number"),
    ],
)
def test_what_is_no_number_is_not_recorded(metrics, message):
    pruning = pruners.attach(arrays(), pruners.Rule(sparsity=0.5))
    with pytest.raises(pruners.OptionError, match=message):
        pruning.record(**metrics)
    assert pruning.history == ()


def test_the_history_resumes_with_its_nan_and_older_states_have_none():
    first = pruners.attach(arrays(), pruners.Rule(sparsity=0.5))
    first.record(accuracy=0.1 + 0.2)
    first.record(loss=float("nan"), best=-float("inf"))
    state = json.loads(json.dumps(first.state_dict(), allow_nan=False))
    second = pruners.attach(arrays(), pruners.Rule(sparsity=0.5))
    second.load_state_dict(state)
    assert second.history[0] == first.history[0]
    assert np.isnan(second.history[1].metrics["loss"])
    assert second.history[1].metrics["best"] == -np.inf
    assert second.state_dict() == first.state_dict()
    del state["history"]
    second.load_state_dict(state)
    assert second.history == ()
    state["history"] = [[1]]
    with pytest.raises(pruners.StateError, match="damaged"):
        second.load_state_dict(state)


def test_masks_on_the_host_cannot_be_exchanged():
    pruning = pruners.attach(arrays(), pruners.Rule(sparsity=0.5))
    assert (pruning.host_masks["fc.weight"] == pruning.masks["fc.weight"]).all()
    with pytest.raises(TypeError):
        pruning.host_masks["fc.weight"] = None
