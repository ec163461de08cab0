"""One clean environment for all of these tests, with a package of each kind that `pruners new` writes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from pruners.cli import main

sys.path.insert(0, str(Path(__file__).parent))
import clean

GENERATED = {
    "tiniest": ("pruner",),
    "thin-ones": ("pruner", "--unit", "channel"),
    "quiet": ("pruner", "--needs", "activations"),
    "quiet-ones": ("pruner", "--unit", "channel", "--needs", "activations,gradients"),
    "measured": ("pruner", "--needs", "inputs,consumers", "--needs", "scales", "--needs", "activated"),
    "parabola": ("schedule",),
    "stripes": ("pattern",),
    "nets": ("backend",),
}
"""What is generated: name -> the other arguments of `pruners new`."""


def generate(name: str, into: Path) -> Path:
    """Write one package as a user does."""
    kind, *options = GENERATED[name]
    result = CliRunner().invoke(main, ["new", kind, name, *options, "--into", str(into)])
    assert result.exit_code == 0, result.output
    return into / f"pruners-{name}"


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a package of each kind."""
    into = tmp_path_factory.mktemp("written")
    for name in GENERATED:
        generate(name, into)
    return into


@pytest.fixture(scope="session")
def installed(written: Path, tmp_path_factory: pytest.TempPathFactory) -> clean.Clean:
    """A clean environment in which all of them are installed, from wheels."""
    folder = tmp_path_factory.mktemp("clean")
    ours = [clean.ROOT / path for path in clean.NEEDED]
    wheels = clean.build([*ours, *sorted(written.iterdir())], folder / "dist")
    made = clean.make(folder / "environment")
    made.install(*wheels)
    return made
