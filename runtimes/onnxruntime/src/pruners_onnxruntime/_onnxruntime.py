"""ONNX Runtime, imported so that it collects no statistics of use: some builds would, unless asked not to."""

from __future__ import annotations

import os
from typing import Any

_SWITCH = "ORT_DISABLE_TELEMETRY"
"""Where this is set while ONNX Runtime is imported, it collects no statistics of use."""


def _imported() -> Any:
    before = os.environ.get(_SWITCH)
    os.environ[_SWITCH] = before or "1"
    try:
        import onnxruntime
    finally:
        if before is None:
            del os.environ[_SWITCH]
        else:
            os.environ[_SWITCH] = before
    return onnxruntime


onnxruntime: Any = _imported()
