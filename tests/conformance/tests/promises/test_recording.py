"""What came of each check is written to the file that an environment variable names."""

from __future__ import annotations

import json

import pytest
from pruners_conformance import Example, pruner_checks
from pruners_conformance.recording import VARIABLE

import pruners

from . import good

RIGHT = Example({"w": [[3.0, -1.0], [0.5, -2.0]]}, 0.5, {"w": [[1, 0], [0, 1]]})
WRONG = Example({"w": [[3.0, -1.0], [0.5, -2.0]]}, 0.5, {"w": [[0, 1], [1, 0]]})


@pytest.fixture
def results(tmp_path, monkeypatch):
    path = tmp_path / "some/folder/results.jsonl"
    monkeypatch.setenv(VARIABLE, str(path))
    return path


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def bound(plugin, check, **settings):
    return next(
        each for each in pruner_checks(plugin, **settings).args[1] if each.check.__name__ == f"check_{check}"
    )


def test_a_check_leaves_a_line(results):
    bound("level", "worked_examples", examples=[RIGHT])()
    (line,) = lines(results)
    assert (line["kind"], line["plugin"], line["check"]) == ("pruner", "level", "check_worked_examples")
    assert (line["outcome"], line["reason"], line["options"]) == ("passed", "", {})
    assert line["test"].endswith("test_recording.py::test_a_check_leaves_a_line")
    assert "numpy" in line["backends"]
    assert line["versions"]["pruners"] == pruners.__version__
    assert {"python", "numpy"} <= set(line["versions"])


def test_a_failure_is_written_as_one(results):
    with pytest.raises(AssertionError):
        bound("level", "worked_examples", examples=[WRONG])()
    expected = {"check_worked_examples": "it is wrong"}
    with pytest.raises(pytest.xfail.Exception):
        bound("level", "worked_examples", examples=[WRONG], expected_failures=expected)()
    with pytest.raises(pytest.fail.Exception):
        bound("level", "worked_examples", examples=[RIGHT], expected_failures=expected)()
    with pytest.raises(pytest.skip.Exception):
        bound("random", "the_order_of_channels_does_not_matter", examples=[RIGHT], seed=3)()
    failed, known, fixed, skipped = lines(results)
    assert [failed["outcome"], known["outcome"]] == ["failed", "expected failure"]
    assert [fixed["outcome"], skipped["outcome"]] == ["unexpected pass", "skipped"]
    assert failed["reason"]
    assert known["reason"] == "it is wrong"
    assert skipped["options"] == {"seed": "3"}


def test_what_is_not_installed_leaves_none(results):
    bound(good.Smallest, "sparsity_zero_keeps_everything", examples=good.PRUNER)()
    assert not results.exists()


def test_nothing_is_written_unasked(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    bound("level", "worked_examples", examples=[RIGHT])()
    assert not list(tmp_path.iterdir())
