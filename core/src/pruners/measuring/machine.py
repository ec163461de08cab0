"""What figures were measured on: the processor, how much of it, and the versions of what computed."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..diagnosis.environment import version_of

_CPUINFO = Path("/proc/cpuinfo")


def facts(distributions: Iterable[str]) -> dict[str, Any]:
    """Return facts about this machine, with the versions of Python, Pruners and these distributions."""
    names = dict.fromkeys(["numpy", "pruners", *distributions])
    versions = {name: version_of(name) for name in names}
    return {
        "processor": processor(),
        "logical cores": os.cpu_count(),
        "usable cores": _usable(),
        "load average": _load(),
        "system": platform.system(),
        "versions": {
            "python": platform.python_version(),
            **{name: version for name, version in versions.items() if version},
        },
    }


def processor() -> str:
    """Return the processor's name, as the system tells it."""
    with suppress(OSError):
        for line in _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _load() -> float | None:
    """Return how many processes wanted to run in the last minute, on average."""
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):  # not on every system
        return None


def _usable() -> int | None:
    """Return how many logical cores this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(affinity(0)) if affinity else os.cpu_count()
