"""Config lists of earlier tools: the same meaning, checked strictly."""

from __future__ import annotations

import numpy as np
import pytest

import pruners
from pruners.protocols import Layer
from pruners.rules import assign

LAYERS = {
    f"{module}.weight": Layer(name=f"{module}.weight", module=module, type=kind, shape=(4, 4), bases=(kind,))
    for module, kind in [("conv1", "Conv2d"), ("conv2", "Conv2d"), ("odd[1]", "Linear"), ("head", "Linear")]
}


def winners(config_list):
    rules = pruners.rules_from_config_list(config_list)
    return [
        (rule.sparsity, [name.removesuffix(".weight") for name in names])
        for rule, names in zip(rules, assign(rules, LAYERS), strict=True)
    ]


@pytest.mark.parametrize("types", ["default", ["default"], ["Conv2d", "default"], None])
def test_default_is_every_layer_that_owns_weights(types):
    entry = {"sparsity": 0.8} if types is None else {"sparsity": 0.8, "op_types": types}
    assert winners([entry]) == [(0.8, ["conv1", "conv2", "odd[1]", "head"])]


def test_types_and_names_select_together():
    assert winners([{"sparsity": 0.5, "op_types": ["Conv2d"]}]) == [(0.5, ["conv1", "conv2"])]
    assert winners([{"sparsity": 0.5, "op_names": ["conv2", "head"], "op_types": ["Conv2d"]}]) == [
        (0.5, ["conv2"])
    ]
    assert winners([{"sparsity": 0.5, "op_names": ["head"], "op_types": ["default"]}]) == [(0.5, ["head"])]
    assert winners([{"sparsity": 0.5, "op_types": "Linear"}]) == [(0.5, ["odd[1]", "head"])]


def test_names_are_taken_literally():
    assert winners([{"sparsity": 0.5, "op_names": ["odd[1]"]}]) == [(0.5, ["odd[1]"])]
    with pytest.raises(pruners.RuleError):
        winners([{"sparsity": 0.5, "op_names": ["conv*"]}])


def test_the_last_match_wins_and_exclude_removes():
    config_list = [
        {"sparsity": 0.8, "op_types": ["default"]},
        {"sparsity": 0.5, "op_types": ["Conv2d"]},
        {"op_names": ["conv1"], "exclude": True},
    ]
    assert winners(config_list) == [(0.8, ["odd[1]", "head"]), (0.5, ["conv2"]), (None, [])]
    assert winners([*config_list, {"sparsity": 0.1, "op_names": ["conv1"]}])[-1] == (0.1, ["conv1"])


def test_a_ramp_is_agp_as_nni_published_it():
    (rule,) = pruners.rules_from_config_list(
        [{"initial_sparsity": 0.0, "final_sparsity": 0.8, "start_epoch": 0, "end_epoch": 10, "frequency": 1}]
    )
    ramp = rule.schedule.between(None, rule.sparsity)
    reached = [round(ramp.sparsity(epoch), 4) for epoch in range(11)]
    assert [reached[epoch] for epoch in (0, 1, 2, 3, 5, 7, 9, 10)] == [
        0.0, 0.2381, 0.4236, 0.5630, 0.7298, 0.7912, 0.8, 0.8,
    ]  # fmt: skip


def test_a_ramp_driven_by_epochs():
    weights = {"w": np.arange(1.0, 101).reshape(10, 10)}
    (rule,) = pruners.rules_from_config_list(
        [{"initial_sparsity": 0.1, "final_sparsity": 0.5, "start_epoch": 1, "end_epoch": 4, "frequency": 1}]
    )
    pruning = pruners.attach(weights, rule)
    reached = []
    for epoch in range(6):
        pruning.epoch(epoch)
        pruning.step()
        reached.append(round(pruning.sparsity().total, 2))
    # 0.5 - 0.4 * (1 - (t - 1) / 2) ** 3 at epochs 1, 2, 3, in whole weights
    assert reached == [0.0, 0.1, 0.45, 0.5, 0.5, 0.5]


def test_left_out_keys_take_the_defaults_of_the_historical_tool():
    (rule,) = pruners.rules_from_config_list([{"final_sparsity": 0.5}])
    assert (rule.schedule.initial_sparsity, rule.sparsity) == (0.0, 0.5)
    assert (rule.schedule.start, rule.schedule.stop, rule.schedule.every) == (0, 1, 1)
    assert rule.schedule.form == "nni"


def test_the_pruner_is_passed_on():
    ranker = pruners.pruner("random", seed=4)
    assert pruners.rules_from_config_list([{"sparsity": 0.5}])[0].pruner == "level"
    assert pruners.rules_from_config_list([{"sparsity": 0.5}], pruner=ranker)[0].pruner is ranker


def test_a_pruner_that_allocates_takes_strengths_above_one():
    (rule,) = pruners.rules_from_config_list([{"sparsity": 1.5}], pruner="sensitivity")
    assert rule.sparsity == 1.5


@pytest.mark.parametrize(
    ("config_list", "message"),
    [
        ([{"sparsty": 0.5}], r"\[0\]\.sparsty: unknown key\. Did you mean 'sparsity'\?"),
        ([{"sparsity": 0.5}, {"sparsity": 1.0}], r"\[1\]\.sparsity: .*\[0, 1\), got 1\.0"),
        ([{"sparsity": 90}], r"\[0\]\.sparsity: .*got 90: 90 % is 0\.9"),
        ([{"sparsity": -0.1}], r"\[0\]\.sparsity: .*got -0\.1"),
        ([{"sparsity": float("nan")}], r"\[0\]\.sparsity: .*got nan"),
        ([{"sparsity": "0.5"}], r"\[0\]\.sparsity: .*got '0\.5'"),
        ([{"sparsity": True}], r"\[0\]\.sparsity: .*got True"),
        ([{"op_types": "default"}], r"\[0\]: needs 'sparsity', 'final_sparsity' or 'exclude'"),
        ([{"sparsity": 0.5, "final_sparsity": 0.5}], r"\[0\]\.sparsity: .*not both"),
        ([{"initial_sparsity": 0.5}], r"\[0\]\.final_sparsity: is missing"),
        ([{"initial_sparsity": 0.6, "final_sparsity": 0.5}], r"\[0\]\.initial_sparsity: 0\.6 is above"),
        ([{"final_sparsity": 1}], r"\[0\]\.final_sparsity: .*got 1"),
        ([{"final_sparsity": 0.5, "start_epoch": -1}], r"\[0\]\.start_epoch: .*got -1"),
        ([{"final_sparsity": 0.5, "start_epoch": 1.0}], r"\[0\]\.start_epoch: .*got 1\.0"),
        ([{"final_sparsity": 0.5, "start_epoch": 3, "end_epoch": 3}], r"\[0\]\.end_epoch: .*3, got 3"),
        ([{"final_sparsity": 0.5, "frequency": 0}], r"\[0\]\.frequency: .*got 0"),
        ([{"sparsity": 0.5, "op_names": 3}], r"\[0\]\.op_names: .*got 3"),
        ([{"sparsity": 0.5, "op_names": []}], r"\[0\]\.op_names: is empty"),
        ([{"sparsity": 0.5, "op_types": [3]}], r"\[0\]\.op_types: .*got \[3\]"),
        ([{"op_names": ["a"], "exclude": 1}], r"\[0\]\.exclude: must be true or false, got 1"),
        ([{"op_names": ["a"], "exclude": True, "sparsity": 0.5}], r"\[0\]\.sparsity: has no meaning"),
        ([3], r"\[0\]: must be a dict, got 3"),
        ([], r" is empty"),
        ({"sparsity": 0.5}, r" must be a list of dicts, got \{"),
        ("default", r" must be a list of dicts, got 'default'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_by_its_path(config_list, message):
    with pytest.raises(pruners.OptionError, match=f"^config_list{message}"):
        pruners.rules_from_config_list(config_list)


def test_exclude_false_is_like_no_exclude():
    assert winners([{"sparsity": 0.5, "exclude": False}]) == [(0.5, ["conv1", "conv2", "odd[1]", "head"])]
