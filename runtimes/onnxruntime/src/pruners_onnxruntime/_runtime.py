"""ONNX files in ONNX Runtime, on the processor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from attrs import field, frozen, validators

from pruners import ExportError

from ._onnxruntime import onnxruntime

Optimisation = Literal["all", "extended", "basic", "off"]

_LEVELS: Mapping[str, Any] = {
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "off": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
}


@frozen
class OnnxRuntime:
    """
    ONNX Runtime on the processor.

    Parameters
    ----------
    optimisation : {"all", "extended", "basic", "off"}, default "all"
        How far ONNX Runtime rewrites the graph before it runs it.

    Notes
    -----
    Zeros are multiplied like any other number: only removed channels make a model faster here.

    Examples
    --------
    >>> import pruners
    >>> pruners.runtime("onnxruntime", optimisation="basic")
    OnnxRuntime(optimisation='basic')
    """

    optimisation: Optimisation = field(default="all", validator=validators.in_(get_args(Optimisation)))

    def open(self, model: str | PathLike[str], *, threads: int) -> Session:
        """
        Return the model of an ONNX file, ready to run on exactly so many threads.

        Raises
        ------
        pruners.ExportError
            If ONNX Runtime cannot read or prepare the file; its own error is chained.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = _LEVELS[self.optimisation]
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(fspath(model), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its types have no base of their own
            raise ExportError(f"ONNX Runtime cannot open {Path(model).name!r}: {_line(error)}") from error
        return Session(session, tuple(each.name for each in session.get_inputs()))

    def describe(self) -> Mapping[str, str]:
        """Return the version, the device and the options."""
        return {
            "runtime": f"ONNX Runtime {onnxruntime.__version__}",
            "device": "processor",
            "optimisation": self.optimisation,
        }


@frozen(eq=False)
class Session:
    """One model in ONNX Runtime."""

    session: Any
    names: tuple[str, ...]
    """Of the inputs, in order."""

    def __call__(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the outputs, in order."""
        if len(inputs) != len(self.names):
            raise ExportError(
                f"the ONNX file takes {len(self.names)} inputs ({', '.join(self.names)}), got {len(inputs)}"
            )
        try:
            return list(self.session.run(None, dict(zip(self.names, inputs, strict=True))))
        except Exception as error:
            raise ExportError(f"ONNX Runtime cannot run the model: {_line(error)}") from error


def _line(error: Exception) -> str:
    """Return an error in one line, with what to do where an operation has no kernel."""
    told = " ".join(f"{type(error).__name__}: {error}".split())
    if type(error).__name__ != "NotImplemented":
        return told
    return f"{told}. It lacks this operation, or has it for other number types: try the model in float32"
