"""Tiny models, and networks of torchvision and timm where they are installed."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)
ROOT = Path(__file__).parents[4]


@pytest.fixture(scope="session")
def zoo():
    """Return what finds a network of the zoo by name; torchvision's compiled operators are not needed."""
    if not _installed():
        pytest.skip("needs torchvision and timm")
    return importlib.import_module("tests.zoo.catalogue").find


def _installed() -> bool:
    if importlib.util.find_spec("torchvision") is None or importlib.util.find_spec("timm") is None:
        return False
    if str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))
    importlib.import_module("tests.zoo.torchvision_operators").install()
    return True


@pytest.fixture(autouse=True)
def _same_numbers():
    torch.manual_seed(0)
