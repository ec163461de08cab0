"""What users read about every public function and plugin follows one form (numpydoc, checked)."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from numpydoc import docscrape
from numpydoc.validate import get_validation_checks, validate

import pruners
from pruners.specs import resolve

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["numpydoc_validation"]
CHECKS = get_validation_checks(set(CONFIG["checks"]))
FUNCTIONS = sorted(
    name for name in pruners.__all__ if inspect.isfunction(inspect.unwrap(getattr(pruners, name)))
)
CLASSES = sorted(name for name in pruners.__all__ if inspect.isclass(getattr(pruners, name)))
PLUGINS = sorted(
    (
        plugin
        for plugin in pruners.installed().plugins
        if plugin.kind != "backend"
        and (ROOT / "plugins" / plugin.distribution.removeprefix("pruners-")).is_dir()
    ),
    key=lambda plugin: (plugin.kind, plugin.name),
)


def wrong(name: str, *, but: frozenset[str] = frozenset()) -> list[tuple[str, str]]:
    """Return what numpydoc finds wrong with the docstring of a dotted name."""
    return [(code, text) for code, text in validate(name)["errors"] if code in CHECKS - but]


def test_there_is_something_to_check():
    assert {"attach", "masks", "prune", "scores", "sensitivity", "installed"} <= set(FUNCTIONS)
    assert len(PLUGINS) >= 12


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(name):
    assert wrong(f"pruners.{name}") == []
    assert ">>>" in getattr(pruners, name).__doc__, "show an example"


@pytest.mark.parametrize("name", CLASSES)
def test_class(name):
    # Value classes describe each field where it stands; protocols have no parameters.
    assert wrong(f"pruners.{name}", but=frozenset({"PR01", "PR02"})) == []


@pytest.mark.parametrize("plugin", PLUGINS, ids=lambda plugin: f"{plugin.kind}-{plugin.name}")
def test_plugin(plugin):
    factory = resolve(plugin.spec.factory)
    assert wrong(f"{factory.__module__}.{factory.__qualname__}") == []
    written = docscrape.NumpyDocString(inspect.getdoc(factory))
    for section in ("Notes", "References", "Examples"):
        assert written[section], f"{factory.__qualname__} needs the section {section}"
    assert plugin.spec.summary


def test_a_wrong_docstring_is_found(tmp_path, monkeypatch):
    (tmp_path / "carelessly_written.py").write_text('def count(layers):\n    """counts the layers"""\n')
    monkeypatch.syspath_prepend(tmp_path)
    assert {"GL03", "PR01", "SS02"} & {code for code, _ in wrong("carelessly_written.count")}
