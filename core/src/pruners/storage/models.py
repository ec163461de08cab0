"""`pruners.save` and `pruners.load`: a model and its structure in one file, without pickle."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve

from .. import __version__
from ..errors import StateError
from ..interrupts import whole
from ..progress import steps
from ..protocols import OpenModel, Rebuilds, Storable
from ..registry import backend_for, make
from ..structure import history
from . import packing
from .container import reading, write
from .fitting import Fit
from .manifest import Manifest
from .tensors import StoredTensor, to_array

SUFFIX = ".safetensors"


@whole
def save(model: Any, path: str | os.PathLike[str], *, sparse: bool = False) -> None:
    """
    Write a model's values and its structure to one safetensors file.

    The tensors lie in it under the model's own names, so that any reader of safetensors finds
    them; the header's metadata say, as JSON, which sizes the modules have and which indices a
    removal has kept. Nothing is pickled.

    Parameters
    ----------
    model : object
        A model of any installed backend, dense, masked, or with channels removed. Wrappers for
        compiling and data-parallel training are opened at the user's own module.
    path : str or path-like
        Where to write; ends in ".safetensors". A file that is there is replaced once the new one
        is complete.
    sparse : bool, default False
        Whether to leave zeros out: each tensor is stored as whichever is smallest, a bitmask and
        the values, indices and values of groups (N:M, banks), or as it is. `load` needs not
        be told. Other readers of safetensors then see packed tensors under names of their own.

    Raises
    ------
    NoBackend, StateError
        If no backend handles or stores the model, it holds something that is no plain tensor, or
        the file cannot be written; a file that was there is still there.

    See Also
    --------
    pruners.load : Put what was saved into a freshly built model.

    Notes
    -----
    Values are kept bit for bit: types, -0.0, the payloads of NaN. A tensor with several names is
    stored once. One tensor at a time is copied to host memory, twice with ``sparse=True``. Buffers that
    the framework leaves out of a model's state are stored where a removal has cut them.

    In a sparse file float32 weights take 0.49 bytes each at 90 % zeros and 0.26 at 95 %, values
    included; dense ones take 4. A tensor that would not save 512 bytes stays as it is. A zero is an element
    of zero bits; -0.0 is a value. The page on the format has everything a reader needs.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, pruners
    >>> path = os.path.join(tempfile.mkdtemp(), "small.safetensors")
    >>> pruners.save({"w": np.array([[3.0, 0.0]])}, path)
    >>> pruners.load({"w": np.zeros((2, 2))}, path)
    {'w': array([[3., 0.]])}
    """
    target = Path(path)
    if target.suffix != SUFFIX:
        raise StateError(f"cannot save to {str(target)!r}: the file's name must end in {SUFFIX!r}")
    opened, backend = _opened(model)
    state = opened.state()
    kept = history.kept_of(opened.root)
    left_out = state.transient - kept.keys() if state.form == "module" else frozenset()
    tensors = {name: tensor for name, tensor in state.tensors.items() if name not in left_out}
    stored, packed = packing.pack(tensors) if sparse else (tensors, {})
    manifest = Manifest(
        backend=backend,
        form=state.form,
        program=state.program,
        tensors={name: (tensor.dtype, tensor.shape) for name, tensor in stored.items()},
        packed=packed,
        aliases={name: first for name, first in state.aliases.items() if first in tensors},
        transient={name: state.tensors[name].shape for name in sorted(left_out)},
        sizes=state.sizes,
        kept={name: axes for name, axes in kept.items() if name in tensors},
    )
    write(target, stored, lambda sums: {**state.tags, **manifest.to_metadata(sums, __version__)})


@whole
def load(model: Any, path: str | os.PathLike[str], *, strict: bool = True) -> Any:
    """
    Put a saved model's values and structure into a freshly built one, in place.

    Parameters
    ----------
    model : object or None
        A model of the same code, of any sizes: parameters are resized to those of the file and
        keep their identity, and the integers its modules hold are set as they were. None for a
        model that was made smaller with ``form="graph"``: it comes back without the user's code.
    path : str or path-like
        What `pruners.save` wrote.
    strict : bool, default True
        Whether every name in the file must be in the model, and every name in the model in the
        file. Otherwise what only one of them has is left alone.

    Returns
    -------
    object
        `model` itself, or a new model where that is None.

    Raises
    ------
    NoBackend, UnknownName, StateError
        If there is no such file, it is damaged or of a later version, or it does not belong to
        this model; the model is as it was.

    See Also
    --------
    pruners.save : Write the file.

    Notes
    -----
    Nothing in the file is executed, and the memory asked for is bounded by the file's length, for
    packed tensors by 512 times theirs. Every bit is held against a checksum, which finds damage, not
    forgery. Values get the types of the file, and stay on the device where the model's were. An
    optimizer made before may hold state
    of the old sizes: make it afterwards.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, pruners
    >>> path = os.path.join(tempfile.mkdtemp(), "small.safetensors")
    >>> pruners.save({"w": np.ones((1, 3), np.float32)}, path)
    >>> pruners.load({"w": np.zeros((4, 4))}, path)["w"].dtype
    dtype('float32')
    """
    if model is None:
        return _rebuilt(str(path))
    opened, backend = _opened(model)
    with reading(Path(path)) as file:
        manifest = Manifest.of(file)
        _check_origin(manifest, backend, str(path))
        fit = Fit(opened.state(), manifest, manifest.checked(file), str(path), strict)
        with _counted(fit.tensors()) as tensors:
            opened.restore(tensors, fit.sizes())
    history.replace(opened.root, manifest.kept)
    return model


def _rebuilt(path: str) -> Any:
    """Return a model made from a file alone."""
    with reading(Path(path)) as file:
        manifest = Manifest.of(file)
        if manifest.form != "graph":
            raise StateError(
                f"{path!r} holds a model in the form {manifest.form!r}, which needs its code: pass one "
                "freshly built, not None"
            )
        backend = make("backend", manifest.backend, {})
        if not isinstance(backend, Rebuilds):
            raise StateError(f"backend {manifest.backend!r} cannot make models from a file, as {path!r} asks")
        with _counted(manifest.checked(file)) as tensors:
            model = backend.rebuild(manifest.program, tensors)
    history.replace(model, manifest.kept)
    return model


def read_arrays(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], Manifest]:
    """
    Return the arrays of a saved model by name, and what the file says about them; with NumPy alone.

    Raises
    ------
    StateError
        If there is no such file, it is damaged or of a later version, or NumPy has no type for it.
    """
    with reading(Path(path)) as file:
        manifest = Manifest.of(file)
        with _counted(manifest.checked(file)) as tensors:
            return {name: to_array(name, each) for name, each in tensors.items()}, manifest


@contextmanager
def _counted(tensors: Mapping[str, StoredTensor]) -> Iterator[dict[str, StoredTensor]]:
    """Yield the same tensors; what is read of them counts as steps."""
    with steps("tensors read", len(tensors)) as done:

        def counted(tensor: StoredTensor) -> StoredTensor:
            def read() -> np.ndarray:
                data = tensor.read()
                done()
                return data

            return evolve(tensor, read=read)

        yield {name: counted(tensor) for name, tensor in tensors.items()}


def _opened(model: Any) -> tuple[Storable, str]:
    backend = backend_for(model)
    opened: OpenModel = backend.open(model)
    if not isinstance(opened, Storable):
        raise StateError(f"models of the backend {backend.name!r} cannot be saved and loaded")
    return opened, backend.name


def _check_origin(manifest: Manifest, backend: str, path: str) -> None:
    if manifest.form != "module":
        raise StateError(
            f"{path!r} holds a model in the form {manifest.form!r}, a whole program, which cannot be put "
            "into another model: pass None for the model"
        )
    if manifest.backend != backend:
        raise StateError(
            f"{path!r} was saved from a model of {manifest.backend!r}; this is one of {backend!r}"
        )
