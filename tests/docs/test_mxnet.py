"""Blocks of the README and the site that need MXNet, run where it is."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from pruners_mxnet._ops import HOST

sys.path.insert(0, str(Path(__file__).parent))
from pages import MXNET, PAGES, ROOT, Page, environments

MARKED = [path for path in PAGES if any(environment == MXNET for _, environment in environments(path))]


def test_there_are_pages_to_run():
    names = {path.relative_to(ROOT).as_posix() for path in MARKED}
    assert {"README.md", "backends/mxnet/README.md", "docs/guide/mxnet.md"} <= names


def test_the_guide_lists_what_runs_on_the_host():
    text = (ROOT / "docs/guide/mxnet.md").read_text()
    section = text.partition("## What runs on the host")[2].partition("\n## ")[0]
    listed = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", section, re.MULTILINE))
    types = {name: f" ({', '.join(each.only)})" if each.only else "" for name, each in HOST.items()}
    assert listed == {name: each.reason + types[name] for name, each in HOST.items()}


@pytest.mark.parametrize("path", MARKED, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_page(path, place):
    Page(path, place, MXNET).run()
