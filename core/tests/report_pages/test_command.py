"""``pruners report --html``: the page from files, and errors that name the option."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from pruners.cli import main

from . import making
from .looking import read

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")


def run(*arguments):
    return CliRunner().invoke(main, ["report", *map(str, arguments)])


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    weights = making.model()
    np.savez("dense.npz", **weights)
    (tmp_path / "scan.json").write_text(json.dumps(making.scan(weights).to_dict()))
    pruning = making.session(weights)
    np.savez("pruned.npz", **weights)
    (tmp_path / "session.json").write_text(json.dumps(pruning.state_dict()))
    (tmp_path / "removal.json").write_text(json.dumps(making.REMOVAL))
    (tmp_path / "measured.json").write_text(json.dumps(making.MEASUREMENT))
    (tmp_path / "e.json").write_text(json.dumps(making.EXPORTED))
    return tmp_path


def test_the_table_is_printed_and_the_page_written(files):
    result = run("pruned.npz", "--html", "report.html")
    assert result.exit_code == 0, result.output
    assert "conv.weight" in result.output
    assert result.output.splitlines()[-2:] == ["Wrote report.html", "Wrote report.json"]
    page = read("report.html")
    assert page.all("h1")[0].said == "Pruning report: pruned.npz"
    assert list(page.sections) == ["summary", "layers", "masks", "scores"]


def test_everything_can_come_from_files(files):
    given = ("--dense", "dense.npz", "--session", "session.json", "--sensitivity", "scan.json")
    given += ("--measurement", "measured.json", "--removal", "removal.json", "--exported", "e.json")
    given += ("--layers", "fc", "--layers", "conv")
    result = run("pruned.npz", "--html", "report.html", "--json", *given)
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["weights"] == 1792
    values = json.loads((files / "report.json").read_text())
    assert values["missing"] == {}
    assert [each["name"] for each in values["sections"]["masks"]["layers"]] == ["conv.weight", "fc.weight"]
    assert values["sections"]["history"]["records"][0]["metrics"]["accuracy"] == 0.9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--dense", "dense.npz"), "--dense is shown on the page only: add --html report.html"),
        (("--layers", "fc"), "--layers is shown on the page only"),
        (("--html", "report.txt"), "page 'report.txt': the name must end in .html"),
        (("--html", "no/report.html"), "there is no folder 'no'"),
        (("--html", "r.html", "--session", "none.json"), "--session: there is no file 'none.json'"),
        (
            ("--html", "r.html", "--removal", "dense.npz"),
            "--removal: 'dense.npz' is not a readable JSON file",
        ),
        (
            ("--html", "r.html", "--measurement", "list.json"),
            "--measurement: 'list.json' holds JSON, but",
        ),
        (
            ("--html", "r.html", "--sensitivity", "removal.json"),
            "sensitivities: not what Sensitivities",
        ),
    ],
)
def test_what_cannot_be_used_is_named_and_nothing_is_written(files, arguments, message):
    (files / "list.json").write_text("[1]")
    before = sorted(files.iterdir())
    result = run("pruned.npz", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert sorted(files.iterdir()) == before


def test_a_missing_library_is_told_before_the_model_is_opened(files, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    result = run("nosuchmodule:build", "--html", "r.html")
    assert result.exit_code == 2
    assert "a page needs jinja2: pip install pruners[report]" in result.stderr
