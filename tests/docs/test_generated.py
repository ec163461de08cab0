"""What the site says about plugins and their conformance is generated, and says no more than was found."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest
from pruners_conformance.catalogue import checks_for

from pruners.known import PACKAGES

ROOT = Path(__file__).parents[2]
HOOKS = ROOT / "docs/_hooks"
ALGORITHMS = [(kind, name) for kind, name in PACKAGES if kind not in ("backend", "runtime")]
FRAMEWORKS = ["numpy", "mxnet", "torch"]


def hook(name):
    """Return a module of the site's hooks, which import each other by their names."""
    spec = importlib.util.spec_from_file_location(name, HOOKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def hooks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(HOOKS), *sys.path])
        before = set(sys.modules)
        yield {name: hook(name) for name in ("conformance", "measured", "facts", "generated")}
        for name in set(sys.modules) - before:
            if str(HOOKS) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]


@pytest.fixture
def conformance(hooks):
    return hooks["conformance"]


def line(plugin="fpgm", outcome="passed", *, check="check_worked_examples", kind="pruner", **more):
    return {
        "kind": kind,
        "plugin": plugin,
        "options": {},
        "check": check,
        "outcome": outcome,
        "reason": "" if outcome == "passed" else "some reason",
        "date": "2026-01-02",
        "test": f"plugins/{plugin}/tests/test_conformance.py::test",
        "backends": ["numpy", "torch"],
        "versions": {"python": "3.11", "torch": "2.0"},
        **more,
    }


@pytest.mark.parametrize("environment", FRAMEWORKS)
def test_the_results_written_down_name_every_plugin_and_every_check(conformance, environment):
    found = {
        (kind, name): set(verdict.checks)
        for (where, kind, name), verdict in conformance.read().verdicts.items()
        if where == environment
    }
    asked = [*ALGORITHMS, ("backend", environment)]
    assert set(asked) <= set(found), "run the sessions of the frameworks, then: nox -s conformance"
    for kind, name in asked:
        promised = {check.__name__ for check in checks_for(kind, named=True)}
        assert found[kind, name] == promised, f"{name} on {environment}: nox -s conformance"


def test_the_results_written_down_are_good(conformance):
    results = conformance.read()
    assert list(results.environments) == FRAMEWORKS
    assert all(verdict.ok for verdict in results.verdicts.values())


def test_the_page_shows_a_row_for_every_plugin(conformance):
    shown = conformance.page(conformance.read())
    for kind, name in ALGORITHMS:
        (row,) = re.findall(
            rf"^\| \[{name}\]\({conformance.page_of(kind, name)}\) \|.*$", shown, re.MULTILINE
        )
        assert row.count("passed") == len(FRAMEWORKS), row
    assert "**fails**" not in shown
    assert re.search(r"^\| torch \| not run \| not run \| passed 17 \|$", shown, re.MULTILINE)


@pytest.mark.parametrize("outcome", ["failed", "unexpected pass"])
def test_a_failure_is_shown_as_one(conformance, outcome):
    others = [line(check=check) for check in ("check_scores_are_finite", conformance.COMPARED)]
    results = conformance.merge([*others, line(outcome=outcome)])
    assert results.cell("torch", "pruner", "fpgm") == "**fails** 1 of 3: worked examples"
    assert "| [fpgm](plugins/fpgm.md) | **fails** 1 of 3: worked examples |" in conformance.page(results)
    assert not results.verdicts["torch", "pruner", "fpgm"].ok


def test_nothing_is_claimed_that_was_not_run(conformance):
    skipped = line(outcome="skipped", check=conformance.COMPARED)
    results = conformance.merge([line(), skipped, line("level", "skipped")])
    assert results.cell("torch", "pruner", "fpgm") == "passed 1"
    assert results.cell("torch", "pruner", "level") == conformance.NOT_RUN
    assert results.cell("torch", "pruner", "taylor") == conformance.NOT_RUN
    assert results.cell("numpy", "pruner", "fpgm") == conformance.NOT_RUN
    compared = conformance.merge([line(), line(check=conformance.COMPARED)])
    assert compared.cell("torch", "pruner", "fpgm") == "passed 2, same masks"
    assert "No results" in conformance.page(conformance.Results({}))


def test_a_known_failure_is_shown_with_its_reason(conformance):
    known = line("random", "expected failure", options={"seed": "3"})
    results = conformance.merge([line("random", check="check_scores_are_finite"), known])
    assert results.cell("torch", "pruner", "random") == "passed 1, 1 known failure"
    assert "- random with `seed=3`: *worked examples*: some reason" in conformance.page(results)


@pytest.mark.parametrize("order", [1, -1])
def test_the_worst_of_several_runs_counts(conformance, order):
    runs = [line(), line(outcome="failed", options={"keep_norm": "0.5"}), line(outcome="skipped")]
    assert "fails" in conformance.merge(runs[::order]).cell("torch", "pruner", "fpgm")


def test_what_is_no_plugins_own_test_is_left_out(conformance):
    made_up = line(outcome="failed", test="tests/conformance/tests/promises/test_recording.py::test")
    assert conformance.merge([line(), made_up]).cell("torch", "pruner", "fpgm") == "passed 1"


def test_results_that_do_not_belong_together_are_refused(conformance):
    with pytest.raises(ValueError, match="beside mxnet and torch: run the checks with one framework alone"):
        conformance.merge([line(backends=["mxnet", "numpy", "torch"])])
    with pytest.raises(ValueError, match=r"from torch 2\.0 and 2\.1: keep one"):
        conformance.merge([line(), line(versions={"python": "3.11", "torch": "2.1"})])
    with pytest.raises(SystemExit, match="nox -s numpy torch mxnet"):
        conformance.main([])


def test_results_survive_the_file(conformance, tmp_path):
    lines = tmp_path / "torch.jsonl"
    lines.write_text("".join(json.dumps(each) + "\n" for each in (line(), line("level", "skipped"))))
    conformance.main([str(lines)], tmp_path / "found.json")
    read = conformance.read(tmp_path / "found.json")
    assert read == conformance.merge([line(), line("level", "skipped")])
    assert conformance.read(tmp_path / "none.json").environments == {}


@pytest.mark.parametrize(("kind", "name"), ALGORITHMS)
def test_the_facts_of_a_plugin_come_from_itself(hooks, conformance, kind, name):
    import pruners

    plugin = pruners.installed().find(kind, name)
    shown = hooks["facts"].facts(name, conformance.read())
    for fact in (
        plugin.spec.summary,
        f"`pip install {plugin.distribution}`",
        f"| kind | {kind}",
        "**Formula.**",
    ):
        assert fact in shown
    for environment in FRAMEWORKS:
        assert f"on {environment}" in shown
    for option in pruners.registry.options_of(pruners.registry.load(plugin)):
        assert f"| `{option}` |" in shown
    assert not re.search(r":math:|\.\. math|\]_|``", shown)


def test_what_a_pruner_needs_is_said_with_what_to_pass(hooks):
    looks_at = hooks["facts"].looks_at
    assert looks_at([]) == "weights only"
    assert looks_at(["activations"]) == "outputs of layers: pass `data=`"
    assert looks_at(["gradients"]) == "gradients of the loss: pass `data=` and `loss=`"
    assert "example_inputs" in looks_at(["scales"])


def test_every_page_of_a_plugin_has_its_facts(hooks):
    marks = []
    for path in (ROOT / "docs/plugins").glob("*.md"):
        found = re.findall(r"^<!-- facts: (.+) -->$", path.read_text(), re.MULTILINE)
        marks += [(path.name, name) for name in found]
    pages = {
        (Path(hooks["conformance"].page_of(kind, name)).name, name)
        for kind, name in ALGORITHMS
        if name != "one-shot"  # another name of `constant`, which its facts say
    }
    assert sorted(marks) == sorted(pages)
    assert "| also called | `one-shot` |" in hooks["generated"].fill("<!-- facts: constant -->")


def test_the_index_lists_every_plugin(hooks):
    shown = hooks["generated"].fill("<!-- plugins -->")
    for kind, name in ALGORITHMS:
        assert f"| [{name}]({hooks['facts'].page(kind, name)}) |" in shown
    assert "[doi:10.1145/3289602.3293898](https://doi.org/10.1145/3289602.3293898)" in shown
    assert "<!-- plugins -->" in (ROOT / "docs/plugins/index.md").read_text()


def test_facts_of_nothing_are_an_error(hooks):
    with pytest.raises(ValueError, match="'fgpm' is the name of 0 plugins"):
        hooks["generated"].fill("<!-- facts: fgpm -->")


def test_measurements_are_the_newest(hooks, tmp_path):
    table = hooks["measured"].table
    about = {"machine": {"processor": "P", "system": "S"}, "versions": {"torch": "2"}, "threads": 1}
    for date, tuned in (("2026-01-01", 0.5), ("2026-01-02", 0.75)):
        runs = [
            {"network": name, "parameters": 1000, "macs": macs, "dense": 0.9, "removed": 0.1, "tuned": tuned}
            for name, macs in (("fpgm", 50), ("random", 50), ("dense, trained on", 100))
        ]
        (tmp_path / f"channels-{date}.json").write_text(json.dumps({**about, "date": date, "figures": runs}))
    shown = table("fpgm", tmp_path)
    assert "| **fpgm** | 50.0 | 1,000 | 90.0 | 10.0 (10.0 to 10.0) | 75.0 (75.0 to 75.0) |" in shown
    assert "P, S, one thread; torch 2; 2026-01-02." in shown
    assert table("apoz", tmp_path) == ""
    assert table("level", tmp_path) == ""


@pytest.mark.parametrize("name", ["fpgm", "taylor", "level", "nm"])
def test_what_was_measured_is_shown(hooks, name):
    shown = hooks["facts"].facts(name, hooks["conformance"].read())
    assert "**Measured**" in shown
    assert re.search(r"\d{4}-\d\d-\d\d\.$", shown)
