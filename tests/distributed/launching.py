"""Start the ranks of a test, wait for them, and end them all if they take too long."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
Found = dict[str, np.ndarray]


def launch(
    scene: Callable[..., object], ranks: int, folder: Path, *, seconds: float = 900, dies: int | None = None
) -> list[Found]:
    """
    Run a scene on so many ranks; return what each of them returned, in the order of ranks.

    With ``ranks=0`` it runs alone in a process without a group. The rank `dies` is expected not to end well.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{scene.__module__.rpartition('.')[2]}:{scene.__name__}"
    count = max(1, ranks)
    logs = [folder / f"rank{rank}.txt" for rank in range(count)]
    started = [_start(name, rank, ranks, folder, logs[rank]) for rank in range(count)]
    until = time.monotonic() + seconds
    try:
        for each in started:
            each.wait(max(1, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{name} hangs after {seconds} s\n{_texts(logs)}") from None
    finally:
        for each in started:
            each.kill()
            each.wait()
    failed = [rank for rank, each in enumerate(started) if each.returncode and rank != dies]
    assert not failed, f"{name}: rank {failed} of {ranks} failed\n{_texts(logs)}"
    assert dies is None or started[dies].returncode, f"{name}: rank {dies} ended well"
    files = [folder / f"rank{rank}.npz" for rank in range(count)]
    return [_read(file) for file in files if file.exists()]


def _start(name: str, rank: int, ranks: int, folder: Path, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.distributed.worker", name, str(rank), str(ranks), str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("wb") as output:
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)


def _texts(logs: list[Path]) -> str:
    return "\n".join(f"--- {log.stem}\n{log.read_text(errors='replace')[-4000:]}" for log in logs)


def _read(path: Path) -> Found:
    with np.load(path) as file:
        return {name: file[name] for name in file.files}
