"""Interrupts that arrive; torchvision, importable beside any build of PyTorch."""

from __future__ import annotations

import importlib
import importlib.util
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

# By path: which folder the name "tests" stands for depends on what else pytest collects.
OPERATORS = Path(__file__).parents[3] / "tests/zoo/torchvision_operators.py"


@pytest.fixture(scope="session", autouse=True)
def interrupts_arrive() -> Iterator[None]:
    """Let SIGINT arrive, here and in subprocesses: a shell ignores it for what runs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def operators():
    """Make torchvision importable, where it is installed."""
    if importlib.util.find_spec("torchvision") is not None:
        spec = importlib.util.spec_from_file_location("torchvision_operators", OPERATORS)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.install()


@pytest.fixture(scope="session")
def torchvision(operators):
    """Return torchvision with operators in plain PyTorch where its own cannot be loaded, or skip."""
    return pytest.importorskip("torchvision")
