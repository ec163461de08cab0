"""Every network of the zoo."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from ..entry import Entry
from .classification import CLASSIFICATION
from .detection import DETECTION
from .keypoints import KEYPOINTS
from .segmentation import SEGMENTATION
from .timm_models import TIMM

ZOO: tuple[Entry, ...] = (*CLASSIFICATION, *DETECTION, *KEYPOINTS, *SEGMENTATION, *TIMM)
REPRESENTATIVE: tuple[Entry, ...] = tuple(entry for entry in ZOO if entry.representative)


def find(name: str) -> Entry:
    """Return the entry of this name."""
    for entry in ZOO:
        if entry.name == name:
            return entry
    raise KeyError(f"no network {name!r} in the zoo")


def matching(patterns: Sequence[str]) -> tuple[Entry, ...]:
    """Return the entries whose names match any of `patterns` (``*``: anything); all where there are none."""
    return tuple(e for e in ZOO if not patterns or any(fnmatchcase(e.name, pattern) for pattern in patterns))
