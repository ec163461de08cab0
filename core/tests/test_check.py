"""``pruners check``: the table, its exit status, and what is missing."""

from __future__ import annotations

import json
import os
import sys

import pytest
from click.testing import CliRunner

import pruners
from pruners.cli import main

RAMP = '''
import pruners


class Ramp:
    """A ramp that says little of itself."""

    def sparsity(self, step):
        return 0.5

    def due(self, step):
        return step == 3


@pruners.hookimpl
def provide_schedulers():
    yield pruners.SchedulerSpec(name="falling", api=1, factory=Ramp, summary="not documented")
'''


@pytest.fixture
def falling(tmp_path, monkeypatch):
    """Install the schedule ``falling`` for the length of a test."""
    (tmp_path / "fake_falling.py").write_text(RAMP)
    info = tmp_path / "fake_falling-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fake-falling\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pruners]\nfalling = fake_falling\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    pruners.installed.cache_clear()
    yield
    monkeypatch.undo()
    pruners.installed.cache_clear()
    sys.modules.pop("fake_falling", None)


def check(*arguments, status=0):
    result = CliRunner().invoke(main, ["check", *map(str, arguments)])
    assert result.exit_code == status, result.output
    return result.output


def test_a_good_plugin_has_a_table_and_status_0():
    told = check("linear", "--no-tests")
    assert told.startswith("schedule linear, from pruners-linear ")
    assert " with final_sparsity=0.8, stop=100\n" in told.splitlines(keepends=True)[0]
    head = next(line for line in told.splitlines() if "what to do" in line)
    assert head.split() == ["check", "result", "reason", "what", "to", "do"]
    rows = {line.split()[0]: line for line in told.splitlines() if line.strip().startswith("check_")}
    assert rows["check_sparsity_is_a_fraction"].split()[1] == "passed"
    assert "no worked example is known here" in rows["check_worked_values"]
    assert told.splitlines()[-1] == f"{len(rows) - 1} passed, 1 skipped"


def test_a_broken_promise_has_its_reason_and_what_to_do_and_status_1(falling):
    told = check("falling", status=1)
    row = next(line for line in told.splitlines() if "check_the_docstring_is_complete" in line)
    assert row.split()[1] == "failed"
    text = " ".join(told.split())
    assert "has no section Notes" in text
    assert "add the named section to the docstring" in text
    assert "failed" in told.splitlines()[-1]


def test_options_are_read_as_numbers_flags_lists_and_text():
    (found,) = json.loads(check("agp", "--option", "stop=7", "--option", "form=nni", "--json"))
    assert found["options"] == {"final_sparsity": "0.8", "stop": "7", "form": "'nni'"}
    assert found["ok"] is True
    assert {record["status"] for record in found["records"]} == {"passed", "skipped"}
    (found,) = json.loads(check("block", "--option", "shape=[2, 1]", "--json"))
    assert found["options"] == {"shape": "[2, 1]"}


def test_wrong_options_are_told():
    assert "'stop' is not NAME=VALUE" in check("agp", "--option", "stop", status=2)
    told = check("agp", "--option", "stopp=3", status=2)
    assert "schedule 'agp': got an unexpected keyword argument 'stopp'. Did you mean 'stop'?" in told
    assert told.endswith("Give options as --option NAME=VALUE\n")
    assert "'stop' must be above 'start', 0: 0" in check("agp", "--option", "stop=0", status=2)


def test_the_tests_of_a_plugin_are_named(tmp_path, monkeypatch):
    path = tmp_path / "test_it.py"
    path.write_text(
        "from pruners_conformance import scheduler_checks\n"
        "@scheduler_checks('linear', examples={5: 0.4}, final_sparsity=0.8, stop=10)\n"
        "def test_linear(check): check()\n"
    )
    monkeypatch.chdir(tmp_path)
    told = check("linear", "--tests", "test_it.py")
    assert told.splitlines()[0].endswith("with final_sparsity=0.8, stop=10; test_linear in test_it.py")
    assert "skipped" not in told
    path.write_text(path.read_text().replace("0.4", "0.3"))
    assert "expected 0.3, got 0.4" in check("linear", "--tests", "test_it.py", status=1)
    assert "give --option or --tests" in check(
        "linear", "--tests", "test_it.py", "--option", "stop=3", status=2
    )
    assert "no such file or folder" in check("linear", "--tests", "nowhere", status=2)


@pytest.mark.parametrize(("kind", "name"), [("pruner", "level"), ("pattern", "nm"), ("backend", "numpy")])
def test_the_other_kinds_are_checked_too(kind, name):
    (found,) = json.loads(check(name, "--kind", kind, "--no-tests", "--json"))
    assert (found["kind"], found["name"], found["ok"]) == (kind, name, True)


def test_an_unknown_name_is_told():
    assert "Did you mean 'level'?" in check("levle", status=2)


def test_without_the_checks_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pruners_conformance", None)
    assert check("level", status=2) == (
        "Error: the checks are in a package of their own: pip install pruners-conformance\n"
    )
