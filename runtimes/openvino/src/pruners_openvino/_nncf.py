"""NNCF, imported so that it reports nothing over the network: it would, unless asked not to."""

from __future__ import annotations

import os
from typing import Any

_SWITCH = "NNCF_CI"
"""Where this is set while NNCF is imported, it sends no statistics of use."""


def _imported() -> Any:
    before = os.environ.get(_SWITCH)
    os.environ[_SWITCH] = before or "1"
    try:
        import nncf
    finally:
        if before is None:
            del os.environ[_SWITCH]
        else:
            os.environ[_SWITCH] = before
    return nncf


nncf: Any = _imported()
