"""Keep what one page does from the next."""

from __future__ import annotations

import sys
import warnings

import pytest


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty working directory; the path, loaded modules and plugins are put back afterwards."""
    import pruners
    from pruners import registry

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    before = set(sys.modules)
    pruners.installed.cache_clear()
    with warnings.catch_warnings():
        yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
    pruners.installed.cache_clear()
    registry._backend.cache_clear()  # or a page written again would meet the backend of before
