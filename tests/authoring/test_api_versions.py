"""Plugins of two versions of the plugin API, installed side by side as real packages."""

from __future__ import annotations

import textwrap

import clean
import pytest

PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{distribution}"
version = "1.0"

[project.entry-points.pruners]
{name} = "{module}"

[tool.hatch.build.targets.wheel]
include = ["{module}.py"]
"""
# Version 1: one layer at a time. Version 2, which core has, asks for all layers at once.
OLDER = """
import pruners


class Older:
    \"\"\"The smallest weights go first.\"\"\"

    def __init__(self, power=1):
        self.power = power

    def score(self, ops, weight):
        return ops.abs(weight) ** self.power


@pruners.hookimpl
def provide_pruners():
    yield pruners.PrunerSpec(name="older", api=1, factory="older_plugin:Older", summary="one at a time")
"""
NEWER = """
import pruners


class Newer:
    unit = "weight"

    def scores(self, view):
        return {name: view.ops.abs(weight) for name, weight in view.weights.items()}


@pruners.hookimpl
def provide_pruners():
    yield pruners.PrunerSpec(name="newer", api=2, factory="newer_plugin:Newer", summary="all at once")
"""
SIDE_BY_SIDE = """
import warnings
from importlib.metadata import entry_points

import numpy as np
import pruners
from pruners import registry
from pruners.specs import wrapped
from pruners.versions import Adapter, Api


class AllAtOnce:
    unit = "weight"

    def __init__(self, older):
        self.older = older

    def scores(self, view):
        return {name: self.older.score(view.ops, weight) for name, weight in view.weights.items()}


def adapt(spec):
    return wrapped(spec, AllAtOnce) if spec.name == "older" else spec


api = Api(version=2, adapters={1: Adapter(adapt, until="0.3", change="a pruner scores all layers at once")})
entries = [entry for entry in entry_points(group="pruners") if entry.name in ("older", "newer", "numpy")]
found = registry.discover(entries, api)
registry.installed = lambda: found
assert found.failures == (), found.failures
assert sorted(registry.options_of(registry.load(found.find("pruner", "older")))) == ["power"]
for name in ("older", "newer"):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = pruners.prune({"w": np.array([[3.0, -1.0], [0.5, -2.0]])}, name, sparsity=0.5)
    print(name, model["w"].tolist())
    print([f"{each.category.__name__}: {each.message}" for each in caught if "older" in str(each.message)])
"""


@pytest.fixture(scope="module")
def both(installed: clean.Clean, tmp_path_factory: pytest.TempPathFactory) -> clean.Clean:
    """The clean environment with a package of each version, until the tests of this module are done."""
    folder = tmp_path_factory.mktemp("versions")
    for name, source in (("older", OLDER), ("newer", NEWER)):
        package = folder / name
        package.mkdir()
        words = {"name": name, "distribution": f"plugin-{name}", "module": f"{name}_plugin"}
        (package / "pyproject.toml").write_text(PROJECT.format(**words))
        (package / f"{name}_plugin.py").write_text(textwrap.dedent(source))
    installed.install("--no-deps", *clean.build([folder / "older", folder / "newer"], folder / "dist"))
    yield installed
    clean.run(
        [*clean.OUTER, "--python", installed.python, "uninstall", "--yes", "plugin-older", "plugin-newer"]
    )


def test_the_older_is_adapted_with_a_warning_that_says_until_when(both, tmp_path):
    told = both.run("-c", SIDE_BY_SIDE, cwd=tmp_path).splitlines()
    assert told == [
        "older [[3.0, 0.0], [0.0, -2.0]]",
        "[\"OutdatedPlugin: pruner 'older' of plugin-older is written for plugin API 1, and this Pruners "
        "has 2 "
        '(a pruner scores all layers at once). It is adapted until Pruners 0.3."]',
        "newer [[3.0, 0.0], [0.0, -2.0]]",
        "[]",
    ]


def test_what_is_newer_than_this_release_is_refused_and_explained(both, tmp_path):
    listed = both.run("-m", "pruners", "list", cwd=tmp_path, status=1)
    assert " older " in listed
    assert "broken: plugin-newer 1.0 (newer): IncompatiblePlugin: pruner 'newer' cannot be used: " in listed
    told = both.run("-m", "pruners", "doctor", cwd=tmp_path, status=1)
    assert "plugin-newer 1.0\n  Cause:  pruner 'newer' cannot be used: it is written for plugin API 2" in told
    assert "  Type:   pip install --upgrade pruners\n" in told
