"""The built site: no warning, no formula left as typed, no request to anybody else."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        check=True,
    )
    return folder


def test_every_page_is_there(site):
    written = [path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")]
    pages = {path.with_suffix(".html") for path in written if path.parts[0] != "examples"}
    assert pages == {path.relative_to(site) for path in site.rglob("*.html")} - {Path("404.html")}


def test_formulas_and_markup_of_docstrings_are_translated(site):
    for path in site.rglob("*.html"):
        text = re.sub(r"<(pre|code)\b.*?</\1>", "", path.read_text(), flags=re.DOTALL)
        left = re.findall(r":\w+:`|\.\. math|\.\. \[|``", text)
        assert not left, f"{path.name}: {left}"
    assert "<math" in (site / "plugins/agp.html").read_text()


def test_nothing_is_loaded_from_elsewhere(site):
    for path in site.rglob("*.html"):
        loaded = re.findall(r"<(?:script|img|iframe)[^>]+src=\"([^\"]+)\"", path.read_text())
        loaded += re.findall(r"<link[^>]+rel=\"(?:stylesheet|preconnect|icon)\"[^>]*>", path.read_text())
        assert loaded
        assert not [each for each in loaded if "//" in each], path.name


def test_docstrings_become_markdown():
    to_markdown = runpy.run_path(str(ROOT / "docs/_hooks/docstrings.py"))["to_markdown"]
    assert to_markdown("at :math:`t_0`").startswith("at <span><math")
    assert 'display="block"' in to_markdown("Before\n\n.. math:: s_t = 1\n\nafter")
    assert to_markdown("``a  b``") == "`a b`"
    assert to_markdown(".. [1] A. Author") == "1. A. Author"
    assert to_markdown("p : float, optional") == "p : float, default: None"
    assert to_markdown('keep : {"zeros"}, optional') == 'keep : "zeros", default: None'
