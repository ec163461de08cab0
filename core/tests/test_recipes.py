"""Recipes: what is read, and that every wrong entry is named by its path in the file."""

from __future__ import annotations

import numpy as np
import pytest

import pruners

TOML = """
model = "network:build"
train = "network:train"
output = "pruned.safetensors"

[[rules]]
match = ["features.*", "head"]
pruner = "level"
sparsity = 0.9
pattern = "bank"
exclude = "features.0"

[rules.schedule]
name = "agp"
start = 0
stop = 10
every = 2

[[rules]]
match = "head"
pruner = { name = "random", seed = 3 }
sparsity = { "head.weight" = 0.5 }
types = ["Linear"]
min_keep = 2
rounding = ["multiple", 8]
"""

YAML = """
model: network:build
train: network:train
output: pruned.safetensors
rules:
  - match: [features.*, head]
    pruner: level
    sparsity: 0.9
    pattern: bank
    exclude: features.0
    schedule: {name: agp, start: 0, stop: 10, every: 2}
  - match: head
    pruner: {name: random, seed: 3}
    sparsity: {head.weight: 0.5}
    types: [Linear]
    min_keep: 2
    rounding: [multiple, 8]
"""


def expected():
    return (
        pruners.Rule(
            ("features.*", "head"),
            pruner="level",
            sparsity=0.9,
            pattern="bank",
            exclude="features.0",
            schedule=pruners.schedule("agp", start=0, stop=10, every=2),
        ),
        pruners.Rule(
            "head",
            pruner=pruners.pruner("random", seed=3),
            sparsity={"head.weight": 0.5},
            types=("Linear",),
            min_keep=2,
            rounding=("multiple", 8),
        ),
    )


@pytest.mark.parametrize(("name", "text"), [("r.toml", TOML), ("r.yaml", YAML), ("r.yml", YAML)])
def test_files_give_the_rules_that_python_would(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    read = pruners.recipe(path)
    assert read.rules == expected()
    assert (read.model, read.train, read.output) == ("network:build", "network:train", "pruned.safetensors")
    assert read.source == str(path)


def test_a_recipe_prunes(tmp_path):
    weights = {"w": np.array([[3.0, -1.0], [0.5, -2.0]])}
    pruners.prune(weights, pruners.recipe({"rules": [{"sparsity": 0.5}]}).rules)
    np.testing.assert_array_equal(weights["w"], [[3, 0], [0, -2]])


def test_what_is_left_out_takes_the_defaults_of_a_rule():
    assert pruners.recipe({"rules": [{"sparsity": 0.5}]}).rules == (pruners.Rule(sparsity=0.5),)
    assert pruners.recipe({"rules": [{"exclude": True}]}).rules == (pruners.Rule(exclude=True),)
    assert pruners.recipe({"rules": [{"sparsity": 0}]}).rules[0].sparsity == 0.0


WRONG = [
    ({"rules": [{"sparsty": 0.5}]}, r"rules\[0\]\.sparsty: unknown key\. Did you mean 'sparsity'\?"),
    ({"rule": []}, r"rule: unknown key\. Did you mean 'rules'\?"),
    ({"rules": [{}, {"sparsity": "high"}]}, r"rules\[1\]\.sparsity: must be a number, got 'high'"),
    ({"rules": [{"sparsity": True}]}, r"rules\[0\]\.sparsity: must be a number, got True"),
    ({"rules": [{"sparsity": {"a": "b"}}]}, r"rules\[0\]\.sparsity\['a'\]: must be a number, got 'b'"),
    ({"rules": [{"sparsity": -0.5}]}, r"rules\[0\]\.sparsity: .*-0\.5"),
    ({"rules": [{"scope": "world"}]}, r"rules\[0\]\.scope: .*world"),
    ({"rules": [{"min_keep": 1.5}]}, r"rules\[0\]\.min_keep: must be a whole number, got 1\.5"),
    ({"rules": [{"min_keep": -1}]}, r"rules\[0\]\.min_keep: .*-1"),
    ({"rules": [{"match": 3}]}, r"rules\[0\]\.match: must be a name or a list of names, got 3"),
    ({"rules": [{"match": ["a", 3]}]}, r"rules\[0\]\.match\[1\]: must be text, got 3"),
    ({"rules": [{"types": 3}]}, r"rules\[0\]\.types: must be a name or a list of names, got 3"),
    ({"rules": [{"rounding": 8}]}, r"rules\[0\]\.rounding: must be text, got 8"),
    ({"rules": [{"exclude": 1}]}, r"rules\[0\]\.exclude: must be"),
    ({"rules": [3]}, r"rules\[0\]: must be a table, got 3"),
    ({"rules": {}}, r"rules: must be a list of tables"),
    ({"rules": []}, r"rules: is empty"),
    ({}, r"needs either 'rules' or 'config_list'"),
    ({"rules": [{}], "config_list": []}, r"needs either"),
    ({"rules": [{}], "pruner": "level"}, r"pruner: belongs inside a rule"),
    ({"model": 3, "rules": [{}]}, r"model: must be text, got 3"),
    ({"rules": [{"pruner": "levle"}]}, r"rules\[0\]\.pruner: .*Did you mean 'level'"),
    ({"rules": [{"pruner": {"seed": 3}}]}, r"rules\[0\]\.pruner: must be a name or a table with a name"),
    (
        {"rules": [{"pruner": {"name": "random", "sed": 3}}]},
        r"rules\[0\]\.pruner\.sed: .*Did you mean 'seed'",
    ),
    ({"rules": [{"schedule": {"name": "agp", "start": 5, "stop": 3}}]}, r"rules\[0\]\.schedule\.stop: .*: 3"),
    ({"rules": [{"schedule": "agp"}]}, r"rules\[0\]\.schedule: schedule 'agp'.*stop"),
    ({"rules": [{"pattern": {"name": "bank", "size": 0}}]}, r"rules\[0\]\.pattern\.size: .*0"),
    ({"rules": [{"sparsity": 0.5, "rounding": "ceil"}]}, r"rules\[0\]\.rounding: .*ceil"),
    ({"rules": [{"sparsity": 0.5, "rounding": ["multiple", "8"]}]}, r"rules\[0\]\.rounding: .*'8'"),
    ({"rules": [{"sparsity": 0.5, "normaliser": "l3"}]}, r"rules\[0\]\.normaliser: .*l3"),
    ({"rules": [{"sparsity": 0.5, "budget": "x"}]}, r"rules\[0\]\.budget: .*'x'"),
    ({"rules": [{"sparsity": 0.1}, {"match": "scope", "sparsity": 0.5, "scope": "model", "budget": "erk"}]},
     r"rules\[1\]\.budget: budget='erk'"),
    ({"rules": [{"sparsity": {"a": 0.5}, "scope": "model"}]}, r"rules\[0\]\.sparsity: .*scope"),
    ({"rules": [{"sparsity": 90}]}, r"rules\[0\]\.sparsity: .*\[0, 1\), got 90: 90 % is 0\.9"),
    ({"rules": [{"sparsity": 1.0}]}, r"rules\[0\]\.sparsity: .*\[0, 1\), got 1$"),
    ({"rules": [{"sparsity": float("nan")}]}, r"rules\[0\]\.sparsity: .*nan"),
    ({"rules": [{"sparsity": {"b": 0.5, "a": 2.0}}]}, r"rules\[0\]\.sparsity\['a'\]: .*\[0, 1\), got 2"),
    ({"rules": [{"sparsity": 2.0, "exclude": True}]}, r"rules\[0\]\.sparsity: .*\[0, 1\), got 2"),
    ({"rules": [{"match": "a"}]}, r"rules\[0\]\.sparsity: is missing"),
    ({"rules": [{"sparsity": {}}]}, r"rules\[0\]\.sparsity: is missing"),
    ({"rules": [{"schedule": {"name": "agp", "stop": 9}}]}, r"rules\[0\]\.schedule: .*has no end"),
    ({"rules": [{"schedule": {"name": "agp", "start": 0}}]}, r"rules\[0\]\.schedule: .*argument: 'stop'"),
    ({"rules": [{"schedule": {"name": "agp", "stop": 9, "initial_sparsity": 0.6, "final_sparsity": 0.5}}]},
     r"rules\[0\]\.schedule\.final_sparsity: .*0\.6: 0\.5"),
    ({"rules": [{"sparsity": 0.5, "schedule": {"name": "agp", "stop": 9, "initial_sparsity": 0.6}}]},
     r"rules\[0\]\.sparsity: .*'initial_sparsity', 0\.6: 0\.5"),
    ({"rules": [{"sparsity": {"a": 0.7, "b": 0.5},
                 "schedule": {"name": "linear", "stop": 9, "initial_sparsity": 0.6}}]},
     r"rules\[0\]\.sparsity\['b'\]: .*0\.6: 0\.5"),
    ({"rules": [{"sparsity": 0.5}], "output": "out.xyz"},
     r"output: must end in \.safetensors or \.npz, got 'out\.xyz'"),
    ({"rules": [{"sparsity": 0.5}], "output": "out.NPZ"}, r"output: must end in"),
    ({"config_list": [{"sparsity": 90}]}, r"config_list\[0\]\.sparsity: .*got 90: 90 % is 0\.9"),
    ({"config_list": [{"sparsity": 2}]}, r"config_list\[0\]\.sparsity: .*2"),
    ({"config_list": [{"sparsity": 0.5}], "pruner": "levle"}, r"pruner: .*Did you mean 'level'"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "message"), WRONG)
def test_a_wrong_entry_is_named_by_its_path(content, message):
    with pytest.raises(pruners.RecipeError, match=f"^recipe: {message}"):
        pruners.recipe(content)


def test_every_wrong_entry_begins_with_the_source():
    for content, _ in WRONG:
        with pytest.raises(pruners.RecipeError, match=r"^recipe: "):
            pruners.recipe(content)


@pytest.mark.parametrize("source", [[1], None, 3, b"r.toml", (pruners.Rule(sparsity=0.5),)])
def test_a_recipe_is_a_path_or_a_dict(source):
    with pytest.raises(pruners.RecipeError, match=r"a recipe is a path or a dict .* got "):
        pruners.recipe(source)


def test_a_dict_may_hold_tuples_where_a_file_has_lists():
    rule = {"match": ("a", "b"), "sparsity": 0.5, "rounding": ("multiple", 8), "types": ("Linear",)}
    assert pruners.recipe({"rules": (rule,)}).rules == (
        pruners.Rule(("a", "b"), sparsity=0.5, rounding=("multiple", 8), types=("Linear",)),
    )


def test_a_pruner_that_allocates_takes_strengths_above_one():
    read = pruners.recipe({"rules": [{"pruner": "sensitivity", "sparsity": 1.5}]})
    assert read.rules[0].sparsity == 1.5


def test_a_schedule_with_an_end_of_its_own_needs_no_sparsity():
    schedule = {"name": "agp", "stop": 9, "final_sparsity": 0.5}
    assert pruners.recipe({"rules": [{"schedule": schedule}]}).rules[0].sparsity is None


class Fussy:
    """A part that does not check its option and fails on it in its own way."""

    def __init__(self, table):
        self.table = {}[table]


class OwnEnds:
    """A schedule whose ends cannot be set from outside."""

    def sparsity(self, step):
        return 0.5

    def due(self, step):
        return step == 0


@pytest.fixture
def parts(monkeypatch):
    """Stand in for installed plugins."""

    def make(kind, name, options):
        return {"fussy": Fussy, "own": OwnEnds}[name](**options)

    monkeypatch.setattr("pruners.registry.make", make)


def test_whatever_a_plugin_raises_is_named_by_its_path(parts):
    with pytest.raises(pruners.RecipeError, match=r"^recipe: rules\[0\]\.pruner: .*'fussy'.*KeyError: 'x'"):
        pruners.recipe({"rules": [{"pruner": {"name": "fussy", "table": "x"}, "sparsity": 0.5}]})


def test_a_schedule_that_sets_its_own_ends_takes_no_sparsity(parts):
    assert pruners.recipe({"rules": [{"schedule": "own"}]}).rules[0].schedule == "own"
    with pytest.raises(pruners.RecipeError, match=r"^recipe: rules\[0\]\.sparsity: .*OwnEnds sets its own"):
        pruners.recipe({"rules": [{"schedule": "own", "sparsity": 0.5}]})


@pytest.mark.parametrize("content", [None, 3, "x", ["rules"]])
def test_a_file_that_is_no_table_is_refused(tmp_path, content):
    import yaml

    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(pruners.RecipeError, match=r"r\.yaml: must be a table"):
        pruners.recipe(path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("r.toml", "rules = ]", r"r\.toml: .*line 1"),
        ("r.yaml", "rules: [", r"r\.yaml: .*line"),
        ("r.yaml", "rules: !!python/object/apply:os.system ['true']", r"r\.yaml: .*python/object"),
        ("r.json", "{}", r"r\.json: a recipe is one of \.toml, \.yaml, \.yml; got '\.json'"),
        ("r.toml", None, r"r\.toml: cannot be read: No such file"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path, name, text, message):
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(pruners.RecipeError, match=message):
        pruners.recipe(path)


def test_the_path_to_a_wrong_entry_has_the_file_name(tmp_path):
    path = tmp_path / "r.toml"
    path.write_text(TOML.replace("stop = 10", "stop = -1"))
    with pytest.raises(pruners.RecipeError, match=r"r\.toml: rules\[0\]\.schedule\.stop: "):
        pruners.recipe(path)


def test_reading_a_recipe_calls_no_function_it_names(tmp_path, monkeypatch):
    (tmp_path / "trap.py").write_text("raise SystemExit('loaded')")
    monkeypatch.syspath_prepend(tmp_path)
    read = pruners.recipe({"model": "trap:build", "train": "trap:train", "rules": [{"sparsity": 0.5}]})
    assert read.model == "trap:build"


def test_a_config_list_stands_in_for_rules():
    content = {
        "config_list": [{"sparsity": 0.8, "op_types": "default"}],
        "pruner": {"name": "random", "seed": 1},
    }
    rules = pruners.recipe(content).rules
    assert rules == pruners.rules_from_config_list(
        [{"sparsity": 0.8, "op_types": "default"}], pruner=pruners.pruner("random", seed=1)
    )
