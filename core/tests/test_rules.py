"""Rules: which layers they reach, which one wins, and what they say when they reach nothing."""

from __future__ import annotations

import pytest

from pruners import Layer, Rule, RuleError
from pruners.rules import as_rules, assign


def layer(name: str, type: str = "Conv2d", shape=(4, 4), **options) -> Layer:
    module = name.rpartition(".")[0]
    return Layer(name=name, module=module, type=type, shape=shape, **options)


LAYERS = {
    each.name: each
    for each in (
        layer("features.0.weight"),
        layer("features.0.bias", shape=(4,), default=False),
        layer("features.3.weight"),
        layer("attention.out_proj.weight", "NonDynamicallyQuantizableLinear", bases=("Linear", "Module")),
        layer("head.weight", "Linear", aliases=("embedding.weight",)),
        layer("head.bias", "Linear", shape=(4,), default=False),
    )
}
WEIGHTS = [name for name, each in LAYERS.items() if each.default]


def reached(*rules: Rule) -> list[list[str]]:
    return assign(rules, LAYERS)


@pytest.mark.parametrize(
    ("rule", "names"),
    [
        (Rule(), WEIGHTS),
        (Rule("features.*"), ["features.0.weight", "features.3.weight"]),
        (Rule("features.0"), ["features.0.weight"]),
        (Rule("features.[12345]"), ["features.3.weight"]),
        (Rule("head.bias"), ["head.bias"]),
        (Rule(["head", "features.3.weight"]), ["features.3.weight", "head.weight"]),
        (Rule("embedding.weight"), ["head.weight"]),
        (Rule(types=("Linear",)), ["attention.out_proj.weight", "head.weight"]),
        (Rule(types="Conv2d"), ["features.0.weight", "features.3.weight"]),
        (Rule(exclude="features*"), ["attention.out_proj.weight", "head.weight"]),
        (Rule("features*", exclude=("*.3", "head*")), ["features.0.weight"]),
        (Rule(lambda each: each.module == "features.0"), ["features.0.weight"]),
        (Rule(sparsity={"head.weight": 0.5, "features.0.bias": 0.1}), ["features.0.bias", "head.weight"]),
    ],
)
def test_a_rule_reaches(rule, names):
    assert reached(rule) == [names]


def test_the_last_matching_rule_wins():
    assert reached(
        Rule(sparsity=0.5), Rule("features.*", sparsity=0.9), Rule("features.0", sparsity=0.1)
    ) == [
        ["attention.out_proj.weight", "head.weight"],
        ["features.3.weight"],
        ["features.0.weight"],
    ]


def test_an_excluding_rule_keeps_its_layers_dense():
    assert reached(Rule(sparsity=0.5), Rule("head", exclude=True)) == [
        ["features.0.weight", "features.3.weight", "attention.out_proj.weight"],
        [],
    ]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (Rule("featurs.*"), r"rule 'featurs\.\*' matches no layer\. Near names: .*'features\.0"),
        (Rule("*.bias"), r"Name 'features\.0\.bias', 'head\.bias' in full"),
        (Rule(types=("Conv9d",)), r"asks for types Conv9d; the model has Conv2d"),
        (Rule(lambda each: False), r"matches no layer\. Layers: 'features"),
        (Rule(sparsity={"head.wieght": 0.5}), r"Near names: 'head\.weight'"),
        (
            Rule(sparsity={"head.weight": 0.5, "hat.weight": 0.5}),
            r"no parameter named 'hat\.weight'\. Near.*head",
        ),
        (Rule("zzz"), r"Layers: "),
    ],
)
def test_a_rule_that_reaches_nothing_lists_near_names(rule, message):
    with pytest.raises(RuleError, match=message):
        reached(rule)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sparsity": -0.1}, r"sparsity must be a fraction from 0 up to 1, got -0\.1"),
        ({"sparsity": float("nan")}, r"got nan"),
        ({"sparsity": {"a": 0.1, "b": -1}}, r"sparsity of 'b'"),
        ({"scope": "global"}, r"'scope' must be in \('output', 'layer', 'model'\)"),
        ({"sparsitty": 0.5}, r"no option 'sparsitty'\. Did you mean 'sparsity'\?"),
        ({"min_keep": -1}, r"'min_keep' must be >= 0"),
        ({"sparsity": {"a": 0.5}, "scope": "model"}, r"needs scope='layer'"),
        ({"sparsity": True}, "got True"),
        ({"rounding": "ceil"}, r"rounding is 'ceil'; choose from floor"),
        ({"rounding": ("multiple", "8")}, "'multiple' takes an integer"),
        ({"normaliser": "l3"}, "'normaliser' must be in"),
        ({"budget": "ekr"}, "'budget' must be in"),
        ({"budget": "erk", "scope": "model"}, r"budget='erk' shares out one sparsity in scope='layer'"),
        ({"budget": "erk", "sparsity": {"a": 0.5}}, "budget='erk' shares out one sparsity"),
        ({"min_keep": 1.5}, "'min_keep' must be a whole number, got 1.5"),
        ({"sparsity": "much"}, r"could not convert string to float"),
    ],
)
def test_a_bad_option_is_named(options, message):
    with pytest.raises(RuleError, match=message):
        Rule("*", **options)


def test_a_plain_dict_gives_each_parameter_its_sparsity():
    (rule,) = as_rules({"head.weight": 0.5, "features.0.weight": 0.9})
    assert rule.sparsity == {"head.weight": 0.5, "features.0.weight": 0.9}
    assert assign([rule], LAYERS) == [["features.0.weight", "head.weight"]]


@pytest.mark.parametrize("wrong", [None, 3, [], "level", [Rule(), "level"]])
def test_what_is_not_rules_is_refused(wrong):
    with pytest.raises(RuleError, match=r"rules must be"):
        as_rules(wrong)


@pytest.mark.parametrize("match", [5, None, (), ["a", 3]])
def test_a_match_that_is_none_is_refused(match):
    with pytest.raises(RuleError, match="match must be a glob"):
        Rule(match)


def test_an_exclusion_that_matches_nothing_lists_near_names():
    with pytest.raises(RuleError, match=r"exclude='hed' matches no layer\. Near names: 'head'"):
        reached(Rule(exclude=("features*", "hed")))


def test_a_rounding_from_a_file_is_the_one_from_code():
    assert Rule(rounding=["multiple", 8]) == Rule(rounding=("multiple", 8))
