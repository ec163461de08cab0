"""Where the archives are that these tests look into; the nox sessions `wheels` and `release` say it."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_addoption(parser):
    parser.addoption("--built", type=Path, help="folder of what is published")
    parser.addoption("--from-tree", type=Path, help="folder of wheels that were built from the tree")


def folder(config, option: str) -> Path:
    path = config.getoption(option)
    if path is None:
        raise pytest.UsageError(f"say with {option} where the archives are, or run nox -s release")
    return path


@pytest.fixture(scope="session")
def dist(pytestconfig):
    return folder(pytestconfig, "--built")


@pytest.fixture(scope="session")
def tree(pytestconfig):
    return folder(pytestconfig, "--from-tree")
