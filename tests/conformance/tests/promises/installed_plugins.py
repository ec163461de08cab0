"""Plugins that are really installed, in a folder of their own, good and bad."""

from __future__ import annotations

from pathlib import Path

MODULE = '''
"""A plugin for tests."""
import pruners
{imports}


@pruners.hookimpl
def provide_pruners():
    yield pruners.PrunerSpec(
        name="made", factory="made_algorithm:Smallest", summary="{summary}", paper="{paper}"
    )
    for name, factory, needs in (
        ("made-saliency", "made_algorithm:Saliency", {{"gradients"}}),
        ("made-activity", "made_algorithm:Activity", {{"activations"}}),
        ("made-used", "made_algorithm:Used", {{"activated"}}),
        ("made-read", "made_algorithm:Read", {{"consumers"}}),
        ("made-scaled", "made_algorithm:Scaled", {{"scales"}}),
    ):
        yield pruners.PrunerSpec(name=name, factory=factory, summary="For tests.", paper="None", needs=needs)
'''
GOOD = {"imports": "", "summary": "Smallest first.", "paper": "Han et al. 2015"}
BAD = {
    "check_listing_imports_no_framework": {**GOOD, "imports": "import numpy"},
    "check_the_spec_is_complete": {**GOOD, "paper": ""},
}


BOXES = '''
"""A second backend, so that there is one wherever these tests run."""
import pruners


@pruners.hookimpl
def provide_backends():
    yield pruners.BackendSpec(name="boxes", factory="made_boxes.backend:Boxes", summary="boxes of arrays")
'''


def install_boxes(folder: Path) -> None:
    """Write a distribution with the good backend of `bad_backends` into `folder`."""
    package = folder / "made_boxes"
    package.mkdir()
    (package / "__init__.py").write_text(BOXES)
    (package / "backend.py").write_text((Path(__file__).parent / "bad_backends.py").read_text())
    (package / "testing.py").write_text("from .backend import Box as model_from_arrays\n")
    _register(folder, "made_boxes")


def install(folder: Path, parts: dict[str, str]) -> None:
    """Write a distribution with one pruner, named ``made``, into `folder`."""
    here = Path(__file__).parent
    (folder / "made_plugin.py").write_text(MODULE.format(**parts))
    (folder / "made_algorithm.py").write_text((here / "good.py").read_text())
    _register(folder, "made_plugin")


def _register(folder: Path, module: str) -> None:
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[pruners]\nmade = {module}\n")
