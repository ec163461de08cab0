"""The memory that a runtime needs for a model, measured in a process in which nothing else happened."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from .places import Place

SUPPORTED = sys.platform == "linux"
HOW = "growth of the resident memory of a fresh process that opens the file and runs it once"
LONGEST = 600
"""Seconds after which a process is given up."""
_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def peak_bytes(
    place: Place, file: Path, arrays: Sequence[np.ndarray], *, threads: int, folder: Path
) -> tuple[int | None, str]:
    """Return the bytes that opening a file and running it once took; None and why where nothing is known."""
    if not SUPPORTED:
        return None, ""
    import numpy as np

    inputs = folder / "inputs.npz"
    np.savez(inputs, **{str(number): array for number, array in enumerate(arrays)})  # type: ignore[arg-type]
    task = {
        "name": place.name,
        "options": dict(place.options),
        "modules": list(place.modules),
        "file": str(file),
        "inputs": str(inputs),
        "threads": threads,
    }
    try:
        done = subprocess.run(
            [sys.executable, "-c", "from pruners.measuring.fresh import main; main()"],
            input=json.dumps(task),
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
        return int(done.stdout.splitlines()[-1]), ""
    except (subprocess.TimeoutExpired, TypeError, ValueError, IndexError):
        return None, "its memory could not be measured"


def main() -> None:
    """Measure what is asked on the input stream; the answer is the last line of the output."""
    task = json.load(sys.stdin)
    sys.stdout.write(f"\n{_grown(**task)}\n")


def _grown(
    name: str, options: dict[str, Any], modules: list[str], file: str, inputs: str, threads: int
) -> int:
    import numpy as np

    from ..registry import runtime

    made = runtime(name, **options)
    for module in modules:
        import_module(module)
    with np.load(inputs, allow_pickle=False) as found:
        arrays = [found[str(number)] for number in range(len(found))]
    _CLEAR.write_text("5")  # the highest resident size starts anew
    before = _kilobytes("VmRSS")
    made.open(Path(file), threads=threads)(arrays)
    return 1024 * max(0, _kilobytes("VmHWM") - before)


def _kilobytes(entry: str) -> int:
    for line in _STATUS.read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{entry}:"):
            return int(line.split()[1])
    raise ValueError(f"{_STATUS} has no {entry}")
