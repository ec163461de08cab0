"""Promises of every kind of plugin."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys

import pruners

from ..subject import Case

FRAMEWORKS = (
    "cupy", "jax", "keras", "mindspore", "mxnet", "numpy", "onnx", "paddle", "scipy", "tensorflow", "torch",
)  # fmt: skip
LISTING = """
import json, sys
from importlib.metadata import entry_points
from pruners.discovery import discover

kind, name, distribution, *frameworks = sys.argv[1:]
found = discover(
    entry for entry in entry_points(group="pruners") if entry.dist and entry.dist.name == distribution
)
print(json.dumps([found.names(kind), [each for each in frameworks if each in sys.modules]]))
"""
PARAMETERS = ("Parameters", "Attributes", "Options")
SECTIONS = ("Notes", "References", "Examples")


def check_listing_imports_no_framework(case: Case) -> None:
    """
    Finding the plugin imports no array library and no framework.

    On failure: keep imports of arrays and frameworks out of the module that the entry point
    names; give the spec its factory as text, ``"package.module:Class"``.
    """
    name = case.subject.name or ""
    plugin = pruners.installed().find(case.subject.kind, name)
    command = [sys.executable, "-c", LISTING, case.subject.kind, name, plugin.distribution, *FRAMEWORKS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"listing {plugin.distribution} alone failed:\n{done.stderr}"
    names, imported = json.loads(done.stdout)
    assert name in names, f"{case.subject.label} is not listed in a new process; listed: {names}"
    assert not imported, f"listing {plugin.distribution} imported {', '.join(imported)}"


def check_the_spec_is_complete(case: Case) -> None:
    """
    The spec says in a line what the plugin does and, for a pruner, where it was published.

    On failure: fill in `summary` and, for a pruner, `paper` of the spec.
    """
    spec = case.subject.spec()
    assert spec is not None
    assert spec.summary.strip(), f"the spec of {case.subject.label} has no summary"
    if isinstance(spec, pruners.PrunerSpec):
        assert spec.paper.strip(), f"the spec of {case.subject.label} names no paper"


def check_the_docstring_is_complete(case: Case) -> None:
    """
    The docstring has a summary and the numpydoc sections readers rely on, in their order.

    On failure: add the named section to the docstring of the class or function that the
    factory names: Parameters (where there are options), Notes, References, Examples.
    """
    text = inspect.getdoc(case.subject.documented()) or ""
    assert text.strip(), f"{case.subject.label} has no docstring"
    found = re.findall(r"^(\w[\w ]*)\n-{3,}\s*$", text, flags=re.MULTILINE)
    if case.subject.takes_options():
        options = set(found) & set(PARAMETERS)
        assert options, f"the docstring of {case.subject.label} has no section Parameters"
    for section in SECTIONS:
        assert section in found, f"the docstring of {case.subject.label} has no section {section}"
    order = [section for section in found if section in SECTIONS]
    assert order == list(SECTIONS), f"the sections of {case.subject.label} come as {order}, not {SECTIONS}"
    first = text.strip().splitlines()[0]
    assert first not in found, f"the docstring of {case.subject.label} starts without a summary"
