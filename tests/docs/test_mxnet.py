"""Blocks of the README and the site that need MXNet, run where it is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from pages import MXNET, PAGES, ROOT, Page, environments

MARKED = [path for path in PAGES if any(environment == MXNET for _, environment in environments(path))]


def test_there_are_pages_to_run():
    names = {path.relative_to(ROOT).as_posix() for path in MARKED}
    assert {"README.md", "backends/mxnet/README.md", "docs/guide/mxnet.md"} <= names


@pytest.mark.parametrize("path", MARKED, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_page(path, place):
    Page(path, place, MXNET).run()
