"""Models rounded to int8 by NNCF, in files of OpenVINO's own, with sparse weights packed while they run."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from os import PathLike
from pathlib import Path

import numpy as np
import openvino
from attrs import field, frozen, validators

from pruners import ExportError, NeedsData

from ._nncf import nncf
from ._runtime import Compiled, device, line, opened, version


@frozen
class OpenVINOInt8:
    """
    OpenVINO on the processor, weights and activations rounded to 8 bits by NNCF.

    Parameters
    ----------
    sparse_rate : float, default 0.5
        Fraction of zeros, 0 to 1, from which on a fully connected layer's weights are kept packed
        in memory and unpacked by the processor while it multiplies
        (``CPU_SPARSE_WEIGHTS_DECOMPRESSION_RATE``); 1 turns that off.

    Notes
    -----
    Packed weights are fewer bytes to read. That makes large fully connected layers faster on
    processors with AMX, and nothing on others. Convolutions are not packed. Weights are rounded
    symmetrically, so that zeros stay zeros.

    Examples
    --------
    >>> import pruners
    >>> pruners.runtime("openvino-int8", sparse_rate=1.0)
    OpenVINOInt8(sparse_rate=1.0)
    """

    sparse_rate: float = field(
        default=0.5, converter=float, validator=validators.and_(validators.ge(0.0), validators.le(1.0))
    )

    suffix: str = field(default=".xml", init=False, repr=False)
    """How the names of its files end; the numbers are in a .bin file beside."""

    def open(self, model: str | PathLike[str], *, threads: int) -> Compiled:
        """
        Return a converted model, ready to run on exactly so many threads.

        Raises
        ------
        pruners.ExportError
            If OpenVINO cannot read the file; its own error is chained.
        """
        return opened(model, threads, {"CPU_SPARSE_WEIGHTS_DECOMPRESSION_RATE": self.sparse_rate})

    def describe(self) -> Mapping[str, str]:
        """Return versions, the device, the precision and the options."""
        return {
            "runtime": f"{version()} (int8)",
            "device": device(),
            "precision": "int8",
            "sparse_rate": f"{self.sparse_rate:g}",
            "rounding": f"NNCF {nncf.__version__}",
        }

    def convert(self, source: Path, target: Path, batches: Sequence[Sequence[np.ndarray]]) -> None:
        """
        Write an ONNX file's model, rounded to int8, as an .xml file with a .bin file beside it.

        Raises
        ------
        pruners.NeedsData
            If there are no batches to calibrate on.
        pruners.ExportError
            If NNCF cannot round the model; its error is chained.
        """
        if target.suffix != ".xml":
            raise ExportError(
                f"OpenVINO's own files are .xml files (with a .bin beside), got {target.name!r}"
            )
        if not batches:
            raise NeedsData("rounding to int8 needs batches to calibrate on: pass data=batches")
        try:
            with _quietly():
                model = openvino.Core().read_model(str(source))
                data = nncf.Dataset(list(batches), list)
                rounded = nncf.quantize(model, data, subset_size=len(batches))
                openvino.save_model(rounded, str(target), compress_to_fp16=False)
        except Exception as error:
            raise ExportError(f"NNCF cannot round the model's ONNX file to int8: {line(error)}") from error


@contextmanager
def _quietly() -> Iterator[None]:
    """Run a block without what NNCF prints."""
    logger = logging.getLogger("nncf")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            yield
    finally:
        logger.setLevel(before)
