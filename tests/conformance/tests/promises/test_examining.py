"""Checks of an installed plugin outside pytest: with the examples of its tests, and without any."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pruners_conformance import examine
from pruners_conformance.examining import uncompared
from pruners_conformance.gathering import gather, source_tests

import pruners

from . import installed_plugins

TESTS = """
from pruners_conformance import Example, pruner_checks, scheduler_checks

@pruner_checks("made", examples=[Example({{"w": [[3.0, -1.0], [0.5, -2.0]]}}, 0.5, {{"w": {mask}}})])
def test_made(check):
    check()

@pruner_checks("made-saliency", examples=[])
def test_another(check):
    check()

@scheduler_checks("made", examples={{}})
def test_of_another_kind(check):
    check()

number = 3
"""
RIGHT, WRONG = "[[1, 0], [0, 1]]", "[[0, 1], [1, 0]]"


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], pruners.Plugin]]:
    """Install the pruner ``made`` for the length of a test."""
    installed_plugins.install(tmp_path, installed_plugins.GOOD)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    pruners.installed.cache_clear()
    yield lambda: pruners.installed().find("pruner", "made")
    monkeypatch.undo()
    pruners.installed.cache_clear()
    for name in ("made_plugin", "made_algorithm", "made_frame"):
        sys.modules.pop(name, None)


def write_tests(folder: Path, mask: str = RIGHT) -> Path:
    (folder / "tests").mkdir()
    path = folder / "tests" / "test_made.py"
    path.write_text(TESTS.format(mask=mask))
    (folder / "tests" / "test_other.py").write_text("raise SystemExit('not about promises')")
    return path


def test_without_tests_the_worked_examples_alone_are_left_out(made):
    (found,) = examine(made())
    assert found.ok
    skipped = {record.check: record.reason for record in found.records if record.status == "skipped"}
    assert "no worked example is known here" in skipped.pop("check_worked_examples")
    assert set(skipped) <= {
        "check_the_order_of_channels_does_not_matter",
        "check_masks_are_the_same_on_every_backend",
        "check_a_declared_reach_is_true",
    }


@pytest.mark.parametrize(("mask", "ok"), [(RIGHT, True), (WRONG, False)])
def test_the_examples_of_the_plugins_tests_are_taken(made, tmp_path, mask, ok):
    path = write_tests(tmp_path, mask)
    for place in (path, path.parent):
        (found,) = examine(made(), tests=place)
        assert (found.test, found.path, found.ok) == ("test_made", path, ok)
        assert [record.check for record in found.records if not record.ok] == (
            [] if ok else ["check_worked_examples"]
        )


def test_tests_beside_an_editable_source_are_found(made, tmp_path):
    path = write_tests(tmp_path)
    info = tmp_path / "made_plugin-1.0.dist-info" / "direct_url.json"
    assert source_tests(made()) is None
    info.write_text(json.dumps({"url": tmp_path.as_uri(), "dir_info": {}}))
    assert source_tests(made()) is None
    info.write_text(json.dumps({"url": tmp_path.as_uri(), "dir_info": {"editable": True}}))
    assert source_tests(made()) == path.parent
    assert [each.test for each in examine(made())] == ["test_made"]
    assert [each.test for each in examine(made(), look=False)] == [""]


def test_options_take_the_place_of_tests(made, tmp_path):
    linear = pruners.installed().find("schedule", "linear")
    (found,) = examine(linear, options={"stop": 7})
    assert found.options == {"final_sparsity": 0.8, "stop": 7}
    assert found.ok


def test_a_schedule_is_tried_with_the_options_it_cannot_do_without():
    (found,) = examine(pruners.installed().find("schedule", "linear"), look=False)
    assert found.options == {"final_sparsity": 0.8, "stop": 100}
    assert sum(record.status == "passed" for record in found.records) == len(found.records) - 1


def test_what_is_wrong_with_tests_is_said(made, tmp_path):
    path = write_tests(tmp_path)
    with pytest.raises(pruners.PrunersError, match="no such file or folder"):
        examine(made(), tests=tmp_path / "nowhere")
    with pytest.raises(pruners.PrunersError, match="decorated with the checks of schedule 'linear'"):
        examine(pruners.installed().find("schedule", "linear"), tests=path)
    path.write_text("import pruners_conformance\n1 / 0")
    with pytest.raises(pruners.PrunersError, match="cannot be loaded: ZeroDivisionError") as caught:
        examine(made(), tests=path)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_only_the_asked_kind_and_name_are_gathered(tmp_path):
    path = write_tests(tmp_path)
    assert [test.function for test in gather(path, "pruner", "made-saliency")] == ["test_another"]
    assert [test.function for test in gather(path, "schedule", "made")] == ["test_of_another_kind"]


FRAME = """
import pruners

class Frame:
    name = "frame"
    def handles(self, model):
        return False
    def open(self, model):
        raise TypeError("no models")

@pruners.hookimpl
def provide_backends():
    yield pruners.BackendSpec(name="frame", factory=Frame, summary="no models")
"""


def test_a_backend_without_models_fails_once_and_says_what_it_lacks(made, tmp_path):
    (tmp_path / "made_frame.py").write_text(FRAME)
    info = tmp_path / "made_frame-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: made_frame\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pruners]\nframe = made_frame\n")
    pruners.installed.cache_clear()
    frame = pruners.installed().find("backend", "frame")
    (found,) = examine(frame)
    (failed,) = [record for record in found.records if not record.ok]
    assert failed.check == "check_models_can_be_made"
    assert "module `testing`" in failed.advice
    skipped = [record for record in found.records if record.status == "skipped"]
    assert len(skipped) >= 12
    assert {record.reason for record in skipped} == {
        "there is no model to try it on: see check_models_can_be_made"
    }
    assert any("backend 'frame' of made_frame was not checked" in why for why in uncompared(made()))
    assert uncompared(frame) == ()


@pytest.mark.parametrize("kind", ["pruner", "schedule", "pattern"])
def test_every_kind_can_be_examined(kind):
    names = {"pruner": "level", "schedule": "agp", "pattern": "nm"}
    for found in examine(pruners.installed().find(kind, names[kind]), look=False):
        assert [record for record in found.records if not record.ok] == []


@pytest.mark.parametrize("name", pruners.installed().names("backend"))
def test_every_installed_backend_can_be_examined_without_its_tests(name):
    (found,) = examine(pruners.installed().find("backend", name), look=False)
    assert [record for record in found.records if not record.ok] == []
    assert not [record for record in found.records if record.status == "skipped"]
