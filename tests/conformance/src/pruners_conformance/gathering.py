"""Find what test files say about a plugin: its worked examples, its options, what is expected to fail."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from attrs import frozen

import pruners
from pruners.diagnosis.environment import source

from .marks import Bound
from .subject import Kind


@frozen
class Test:
    """One decorated test function: where it is, and its checks."""

    __test__ = False

    path: Path
    function: str
    bound: tuple[Bound, ...]


def source_tests(plugin: pruners.Plugin) -> Path | None:
    """Return the folder of tests of a plugin that is installed from its source, or None."""
    folder = source(plugin.distribution)
    tests = Path(folder) / "tests"
    return tests if folder and tests.is_dir() else None


def gather(place: Path, kind: Kind, name: str) -> tuple[Test, ...]:
    """
    Return every test of this plugin in a file or a folder; the files are imported, as pytest would.

    Raises
    ------
    pruners.PrunersError
        If there is no such file, or one cannot be imported; the cause is chained.
    """
    if not place.exists():
        raise pruners.PrunersError(f"there are no tests in {str(place)!r}: no such file or folder")
    files = sorted(place.rglob("test_*.py")) if place.is_dir() else [place]
    return tuple(
        test
        for path in files
        if "pruners_conformance" in path.read_text(encoding="utf-8")
        for test in _tests(path, kind, name)
    )


def _tests(path: Path, kind: Kind, name: str) -> Iterator[Test]:
    for function, value in vars(_load(path)).items():
        for mark in getattr(value, "pytestmark", ()):
            values = mark.args[1] if mark.name == "parametrize" and len(mark.args) > 1 else ()
            bound = tuple(each for each in values if isinstance(each, Bound) and _is_of(each, kind, name))
            if bound:
                yield Test(path, function, bound)


def _is_of(bound: Bound, kind: Kind, name: str) -> bool:
    return (bound.case.subject.kind, bound.case.subject.name) == (kind, name)


def _load(path: Path) -> ModuleType:
    name = f"pruners_conformance_gathered_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise pruners.PrunersError(f"{str(path)!r} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        cause = " ".join(f"{type(error).__name__}: {error}".split())
        raise pruners.PrunersError(f"the tests in {str(path)!r} cannot be loaded: {cause}") from error
    finally:
        del sys.modules[name]
    return module
