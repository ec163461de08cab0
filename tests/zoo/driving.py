"""Many networks, each in a process of its own with a limit on its time; a run cut short can go on later."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pruners.protocols import Form

from .entry import Entry
from .results import Result, add, from_line, read

ROOT = Path(__file__).parents[2]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

Tell = Callable[[Result], None]


def drive(
    entries: Iterable[Entry],
    path: Path,
    tell: Tell,
    *,
    pruner: str = "filter-norm",
    jobs: int = 1,
    limit: float = 300.0,
    forms: Sequence[Form] = (),
    again: bool = False,
    small: bool = False,
) -> None:
    """
    Run every entry and append what came of it to the JSON lines in `path`.

    An entry is run in its own form first, and as a graph where that is refused, differs or takes
    too little; `forms` names the forms instead. What is in the file already is not run, unless `again`.
    """
    done = {} if again else read(path)

    def both(entry: Entry) -> None:
        for form in forms or dict.fromkeys((entry.form, "graph")):
            result = done.get((entry.name, form))
            if result is None:
                result = alone(entry, form, pruner, limit, "small" if small else "full")
                add(path, result)
                tell(result)
            if result.good and not forms:
                return

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(both, entries))


def alone(entry: Entry, form: Form, pruner: str, limit: float, size: str = "full") -> Result:
    """Run one entry in a process of its own; a crash or a time-out is a result, too."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "result"
        command = [sys.executable, "-m", "tests.zoo.worker", entry.name, form, pruner, size, str(file)]
        try:
            ended = subprocess.run(
                command,
                cwd=ROOT,
                env={**os.environ, **ONE_THREAD},
                timeout=limit,
                capture_output=True,
                text=True,
            )
        except subprocess.TimeoutExpired:
            return Result(
                entry.name, entry.family, form, refused=f"took more than {limit:.0f} s", broken=True
            )
        if file.exists():
            return from_line(file.read_text(encoding="utf-8"))
    last = (ended.stderr.strip().splitlines() or [f"exit status {ended.returncode}"])[-1]
    return Result(entry.name, entry.family, form, refused=f"the process ended: {last}", broken=True)
