"""Checks of what is installed under a name."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pruners_conformance import Record, run

import pruners

from . import good, installed_plugins

Install = Callable[[dict[str, str]], tuple[Record, ...]]


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a plugin for the length of a test and run its checks."""

    def install(parts: dict[str, str]) -> tuple[Record, ...]:
        installed_plugins.install(tmp_path, parts)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
        pruners.installed.cache_clear()
        return run("made", examples=good.PRUNER)

    yield install
    monkeypatch.undo()
    pruners.installed.cache_clear()
    for name in ("made_plugin", "made_algorithm"):
        sys.modules.pop(name, None)


def test_a_good_installed_plugin_is_accepted(checked: Install) -> None:
    assert [record for record in checked(installed_plugins.GOOD) if not record.ok] == []


@pytest.mark.parametrize(("check", "parts"), installed_plugins.BAD.items())
def test_a_bad_installed_plugin_is_rejected_by_its_check_alone(
    checked: Install, check: str, parts: dict[str, str]
) -> None:
    assert [record.check for record in checked(parts) if not record.ok] == [check]


def test_a_spec_without_summary_is_rejected(checked: Install) -> None:
    records = checked({**installed_plugins.GOOD, "summary": ""})
    assert [record.check for record in records if not record.ok] == ["check_the_spec_is_complete"]


@pytest.mark.parametrize(
    ("name", "examples"),
    [
        ("made-saliency", good.SALIENCY),
        ("made-activity", good.ACTIVITY),
        ("made-used", good.USED),
        ("made-read", good.READ),
        ("made-scaled", good.SCALED),
    ],
)
def test_pruners_that_need_data_are_checked_too(
    checked: Install, name: str, examples: list[good.Example]
) -> None:
    checked(installed_plugins.GOOD)
    records = run(name, examples=examples)
    assert [record for record in records if not record.ok] == []
    assert [record.check for record in records if record.status == "skipped"] == [
        "check_the_order_of_channels_does_not_matter",
        "check_masks_are_the_same_on_every_backend",
        "check_a_declared_reach_is_true",
    ]
    wrong = [good.evolve(example, masks={"w": 1 - np.asarray(example.masks["w"])}) for example in examples]
    assert [record.check for record in run(name, examples=wrong) if not record.ok] == [
        "check_worked_examples"
    ]


def test_running_an_unknown_name_says_so() -> None:
    with pytest.raises(LookupError, match="nothing named 'nosuch'"):
        run("nosuch")


def test_running_a_factory_needs_its_kind() -> None:
    with pytest.raises(ValueError, match="say kind="):
        run(good.Smallest)
