"""Each check rejects the plugin that breaks its promise, and accepts those that keep it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pruners_conformance import run
from pruners_conformance.catalogue import CHECKS, NAMED

import pruners

from . import (
    bad_backends,
    bad_patterns,
    bad_pruners,
    bad_runtimes,
    bad_schedules,
    good,
    installed_plugins,
)

KINDS: dict[str, dict[str, Any]] = {
    "pruner": {"examples": good.PRUNER},
    "schedule": {"examples": good.SCHEDULE},
    "pattern": {"examples": good.PATTERN},
    "backend": {"make_model": bad_backends.Box, "parameters": lambda box: box.arrays},
    "runtime": {},
}
GOOD = {
    "pruner": (good.Smallest, good.Allocating, good.Channels, good.Reaching, good.ReachingChannels),
    "schedule": (good.Ramp,),
    "pattern": (good.Fours, good.Cuttable),
    "backend": (bad_backends.Boxes,),
    "runtime": (bad_runtimes.Converted,),
}
BAD = {
    "pruner": bad_pruners.BAD,
    "schedule": bad_schedules.BAD,
    "pattern": bad_patterns.BAD,
    "backend": bad_backends.BAD,
    "runtime": bad_runtimes.BAD,
}
ACCEPTED = [(kind, factory) for kind, factories in GOOD.items() for factory in factories]
REJECTED = [
    (kind, check, factory)
    for kind, table in (*BAD.items(), *(("pruner", more) for more in bad_pruners.MORE))
    for check, factory in table.items()
]


def inputs(kind: str, factory: Any) -> dict[str, Any]:
    """Return what a plugin's checks need, worked examples of its own unit among it."""
    if factory is bad_backends.Unmade:
        return {}
    if kind == "runtime":
        return {"examples": bad_runtimes.examples(factory)}
    scores_channels = kind == "pruner" and issubclass(factory, good.Channels)
    return KINDS[kind] | ({"examples": good.CHANNEL} if scores_channels else {})


@pytest.fixture(autouse=True, scope="module")
def second_backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Install a backend beside NumPy's, so that comparing backends never falls out."""
    folder = tmp_path_factory.mktemp("boxes")
    installed_plugins.install_boxes(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        pruners.installed.cache_clear()
        assert "boxes" in pruners.installed().names("backend")
        yield
    pruners.installed.cache_clear()


@pytest.mark.parametrize(("kind", "factory"), ACCEPTED)
def test_a_good_plugin_is_accepted(kind: str, factory: Any) -> None:
    records = run(factory, kind=kind, **inputs(kind, factory))
    assert [record for record in records if not record.ok] == []
    assert sum(record.status == "passed" for record in records) >= len(records) - 2


@pytest.mark.parametrize(
    ("kind", "check", "factory"), REJECTED, ids=[f"{k}-{c}-{f.__name__}" for k, c, f in REJECTED]
)
def test_a_bad_plugin_is_rejected_by_its_check_alone(kind: str, check: str, factory: Any) -> None:
    records = run(factory, kind=kind, **inputs(kind, factory))
    assert {record.check: record.reason for record in records if not record.ok}.keys() == {check}
    (failed,) = [record for record in records if not record.ok]
    assert failed.status == "failed"
    assert failed.reason
    assert failed.advice


@pytest.mark.parametrize("kind", CHECKS)
def test_every_check_has_a_plugin_that_it_rejects(kind: Any) -> None:
    checks = {check.__name__ for check in CHECKS[kind]}
    covered = set(BAD[kind]) | set(installed_plugins.BAD)
    assert checks - covered == set()
    assert set(BAD[kind]) <= checks
    assert set(installed_plugins.BAD) == {check.__name__ for check in NAMED}


@pytest.mark.parametrize("factory", [bad_runtimes.Live, bad_runtimes.Files])
def test_runtimes_of_live_models_and_of_files_are_accepted(factory: Any) -> None:
    records = run(factory, kind="runtime", **inputs("runtime", factory))
    assert [record for record in records if not record.ok] == []


def test_a_runtime_that_has_nothing_to_run_is_not_called_good() -> None:
    records = {record.check: record for record in run(bad_runtimes.Files, kind="runtime")}
    skipped = records["check_outputs_are_those_of_the_model"]
    assert (skipped.status, skipped.reason) == (
        "skipped",
        "no installed backend has a network in its format to try it on",
    )
