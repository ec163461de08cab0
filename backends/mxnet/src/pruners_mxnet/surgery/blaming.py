"""Which block of a model an error came from."""

from __future__ import annotations

import traceback
from pathlib import Path

import mxnet
from mxnet.gluon import Block

from .._layers import blocks

_LIBRARY = str(Path(mxnet.__file__).parent)
_OWN = str(Path(__file__).parent)


def culprit(error: BaseException, model: Block) -> str:
    """Return the innermost block that was running, the user's line, and the reason, in words."""
    names = {id(block): name or "the model itself" for name, block in blocks(model).items()}
    found: str | None = None
    line = ""
    for frame, number in traceback.walk_tb(error.__traceback__):
        owner = frame.f_locals.get("self")
        if isinstance(owner, Block) and id(owner) in names:
            found = f"{names[id(owner)]} ({type(owner).__name__})"
        if found is not None and not frame.f_code.co_filename.startswith((_LIBRARY, _OWN, "<")):
            line = f" at {Path(frame.f_code.co_filename).name}:{number}"
    return f"{found or 'outside its blocks'}{line}: {_reason(error)}"


def _reason(error: BaseException) -> str:
    """Return the line of an error that says why: MXNet's begin with a traceback of its own."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("MXNetError:")]
    chosen = told or lines[:1] or [type(error).__name__]
    return chosen[0].removeprefix("MXNetError:").strip()
