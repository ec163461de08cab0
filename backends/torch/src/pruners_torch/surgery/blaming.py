"""Which module of a model an error came from."""

from __future__ import annotations

import traceback
from pathlib import Path

import torch
from torch import nn

_LIBRARY = str(Path(torch.__file__).parent)


def culprit(error: BaseException, model: nn.Module) -> str:
    """Return the innermost module that was running, the user's line, and the reason, in words."""
    names = {id(module): name or "the model itself" for name, module in model.named_modules()}
    found: str | None = None
    line = ""
    for frame, number in traceback.walk_tb(error.__traceback__):
        owner = frame.f_locals.get("self")
        if isinstance(owner, nn.Module) and id(owner) in names:
            found = f"{names[id(owner)]} ({type(owner).__name__})"
        if found is not None and not frame.f_code.co_filename.startswith(_LIBRARY):
            line = f" at {Path(frame.f_code.co_filename).name}:{number}"
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return f"{found or 'outside its modules'}{line}: {reason}"
