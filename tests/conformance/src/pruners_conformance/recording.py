"""Write what came of each check of an installed plugin to a file, for whoever makes tables of it."""

from __future__ import annotations

import functools
import json
import os
import platform
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pruners
from pruners.specs import BackendSpec

from .outcome import Record
from .subject import Subject

VARIABLE = "PRUNERS_CONFORMANCE_RESULTS"
"""Environment variable that names the file; nothing is written where it is not set."""


def note(subject: Subject, record: Record) -> None:
    """Add a line of JSON for one check to the file that the environment variable names, if it does."""
    path = os.environ.get(VARIABLE)
    if not path or subject.name is None:
        return
    line = {
        "kind": subject.kind,
        "plugin": subject.name,
        "options": {name: repr(value) for name, value in subject.options.items()},
        "check": record.check,
        "outcome": record.status,
        "reason": record.reason,
        "date": date.today().isoformat(),
        "test": os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0],
        **environment(),
    }
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


@functools.cache
def environment() -> dict[str, Any]:
    """Return the names of the installed backends, and the versions of what they and this run on."""
    specs = [each.spec for each in pruners.installed().plugins if isinstance(each.spec, BackendSpec)]
    libraries = {module.partition(".")[0] for spec in specs for module in spec.modules}
    found = {"python": platform.python_version(), "pruners": version("pruners")}
    for library in sorted({"numpy", *libraries}):
        try:
            found[library] = version(library)
        except PackageNotFoundError:  # a module whose distribution has another name
            continue
    return {"backends": sorted(spec.name for spec in specs), "versions": found}
