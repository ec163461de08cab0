"""A file made smaller, or plain again, without the model: zeros left out, or written out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from attrs import evolve, frozen

from .. import __version__
from ..errors import OptionError, StateError
from ..interrupts import whole
from . import packing
from .container import Container, reading, write
from .manifest import KEY, SUM_KEY, Manifest
from .tensors import StoredTensor

SUFFIX = ".safetensors"
BACKENDS = {"pt": "torch", "mx": "mxnet", "np": "numpy"}
"""Which framework a file is of, by what its header says under "format"."""


@frozen
class Repacked:
    """What became of a file."""

    before: int
    """Bytes of the file that was read."""
    after: int
    """Bytes of the file that was written."""
    tensors: int
    """Of the model."""
    packed: int
    """Of them that are stored without their zeros."""


@whole
def repack(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    sparse: bool = True,
    backend: str | None = None,
) -> Repacked:
    """
    Write a safetensors file anew, with the zeros of its tensors left out, or written out.

    Parameters
    ----------
    source : str or path-like
        Any safetensors file: one that `pruners.save` wrote, or of the safetensors library.
    target : str or path-like
        Where to write; ends in ".safetensors", and may be `source`. A file that is there is
        replaced once the new one is complete.
    sparse : bool, default True
        Whether to leave zeros out, as ``pruners.save(..., sparse=True)`` does; otherwise every
        tensor is written as it is, and any reader of safetensors finds it.
    backend : str, optional
        Whose model is in a file that `pruners.save` did not write; by default what the
        header says, and "numpy" where it says nothing.

    Returns
    -------
    Repacked
        Sizes before and after.

    Raises
    ------
    OptionError
        If `backend` is given and the file says itself which one it is of.
    StateError
        If a file cannot be read or written, or is damaged.

    Notes
    -----
    Every bit is kept, and what the file says about the model. One tensor at a time is in memory.
    """
    if Path(target).suffix != SUFFIX:
        raise StateError(f"cannot write to {str(target)!r}: the file's name must end in {SUFFIX!r}")
    with reading(Path(source)) as file:
        manifest, tensors = _understood(file, backend)
        stored, packed = packing.pack(tensors) if sparse else (tensors, {})
        changed = evolve(
            manifest,
            tensors={name: (tensor.dtype, tensor.shape) for name, tensor in stored.items()},
            packed=packed,
        )
        tags = {key: text for key, text in file.metadata.items() if key not in (KEY, SUM_KEY)}
        before = Path(source).stat().st_size
        write(Path(target), stored, lambda sums: {**tags, **changed.to_metadata(sums, __version__)})
    return Repacked(before, Path(target).stat().st_size, len(tensors), len(packed))


def _understood(file: Container, backend: str | None) -> tuple[Manifest, Mapping[str, StoredTensor]]:
    """Return what a file says about its model, and the model's tensors."""
    if KEY not in file.metadata:
        return Manifest(
            backend=backend or BACKENDS.get(file.metadata.get("format", ""), "numpy")
        ), file.tensors
    manifest = Manifest.of(file)
    if backend not in (None, manifest.backend):
        raise OptionError(
            f"{str(file.path)!r} says that its model is one of {manifest.backend!r}; "
            f"leave backend={backend!r} out"
        )
    return manifest, manifest.checked(file)
