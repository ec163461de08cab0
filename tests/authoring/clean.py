"""A clean environment with what users install: wheels of this tree, and of packages that a test writes."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).parents[2]
NEEDED = ("core", "backends/numpy", "tests/conformance")
OUTER = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


@frozen
class Clean:
    """A virtual environment without pip; the pip of this one fills it."""

    folder: Path

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))

    def install(self, *arguments: str) -> None:
        """Install into it."""
        run([*OUTER, "--python", self.python, "install", "--quiet", *arguments])

    def uninstall(self, *names: str) -> None:
        """Take distributions out again."""
        run([*OUTER, "--python", self.python, "uninstall", "--quiet", "--yes", *names])

    def run(self, *arguments: str, cwd: Path, status: int = 0) -> str:
        """Run its Python; return what it printed."""
        return run([self.python, *arguments], cwd=cwd, status=status)


def run(command: list[str], cwd: Path = ROOT, status: int = 0) -> str:
    """Run a command; an unexpected exit status is an error with all that was printed."""
    outside = {
        name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PIP_CONSTRAINT")
    }
    done = subprocess.run(
        command, cwd=cwd, env={**outside, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True
    )
    told = done.stdout + done.stderr
    assert done.returncode == status, f"{' '.join(command)} ended with {done.returncode}:\n{told}"
    return told


def make(folder: Path) -> Clean:
    """Return a new environment."""
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    return Clean(folder)


def build(folders: list[Path], dist: Path) -> list[str]:
    """Build a wheel of each package, with the build tools of this environment."""
    pip = [*OUTER, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(dist)]
    run([*pip, *map(str, folders)])
    return [str(wheel) for wheel in sorted(dist.glob("*.whl"))]
