"""Arrays of a file that is mapped into memory: each is read, and unpacked, when it is asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from .container import reading
from .manifest import Manifest
from .tensors import StoredTensor, to_array


class LazyArrays(Mapping[str, np.ndarray]):
    """The arrays of a file by name; none is in memory before it is asked for, and none is kept."""

    def __init__(self, tensors: Mapping[str, StoredTensor], manifest: Manifest) -> None:
        self._tensors = tensors
        self.manifest = manifest

    def __getitem__(self, name: str) -> np.ndarray:
        return to_array(name, self._tensors[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def open_arrays(path: str | os.PathLike[str], *, check: bool = True) -> LazyArrays:
    """
    Map a saved model into memory and return its arrays by name, read when they are asked for.

    Parameters
    ----------
    path : str or path-like
        What `pruners.save` wrote, sparse or not.
    check : bool, default True
        Whether every array is held against its checksum each time it is asked for, which reads
        all of it. Otherwise only the pages of an array that are looked at are read.

    Returns
    -------
    mapping of str to (any shape) array
        What is stored as it is comes as a read-only view of the file, what is packed as a new
        array each time.

    Raises
    ------
    StateError
        If there is no such file, it is damaged or of a later version; when an array is asked for, if
        that is damaged, or NumPy has no type for it.

    Notes
    -----
    The file must stay as long as it is while arrays are in use: an operating system may end a
    process that looks at a mapped page which is no longer there. `pruners.load` does not map.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, pruners
    >>> path = os.path.join(tempfile.mkdtemp(), "small.safetensors")
    >>> pruners.save({"w": np.eye(64), "b": np.ones(2)}, path, sparse=True)
    >>> arrays = open_arrays(path)
    >>> arrays["w"].trace(), arrays["b"].flags.writeable
    (np.float64(64.0), False)
    """
    with reading(Path(path), mapped=True) as file:
        manifest = Manifest.of(file)
        return LazyArrays(manifest.checked(file, check=check), manifest)
