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
'''
ENTRY = "[pruners]\nmade = made_plugin\n"
METADATA = "Metadata-Version: 2.1\nName: made-plugin\nVersion: 1.0\n"
GOOD = {"imports": "", "summary": "Smallest first.", "paper": "Han et al. 2015"}
BAD = {
    "check_listing_imports_no_framework": {**GOOD, "imports": "import numpy"},
    "check_the_spec_is_complete": {**GOOD, "paper": ""},
}


def install(folder: Path, parts: dict[str, str]) -> None:
    """Write a distribution with one pruner, named ``made``, into `folder`."""
    here = Path(__file__).parent
    (folder / "made_plugin.py").write_text(MODULE.format(**parts))
    (folder / "made_algorithm.py").write_text((here / "good.py").read_text())
    info = folder / "made_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(METADATA)
    (info / "entry_points.txt").write_text(ENTRY)
