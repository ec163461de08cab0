"""ONNX files and OpenVINO's own in OpenVINO, on the processor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from attrs import field, frozen

from pruners import ExportError


@frozen
class OpenVINO:
    """
    OpenVINO on the processor, computing in float32.

    Notes
    -----
    Zeros are multiplied like any other number: only removed channels make a model faster here.
    One stream; the graph is compiled for the very shapes of the inputs.

    Examples
    --------
    >>> import pruners
    >>> pruners.runtime("openvino")
    OpenVINO()
    """

    def open(self, model: str | PathLike[str], *, threads: int) -> Compiled:
        """
        Return the model of an ONNX file, ready to run on exactly so many threads.

        Raises
        ------
        pruners.ExportError
            If OpenVINO cannot read the file; its own error is chained.
        """
        return opened(model, threads, {})

    def describe(self) -> Mapping[str, str]:
        """Return the version, the device and the precision."""
        return {"runtime": version(), "device": device(), "precision": "float32"}


def opened(model: str | PathLike[str], threads: int, settings: Mapping[str, Any]) -> Compiled:
    """Return the model of a file, to be compiled with these settings and so many threads."""
    try:
        core = openvino.Core()
        found = core.read_model(fspath(model))
    except Exception as error:
        raise ExportError(f"OpenVINO cannot open {Path(model).name!r}: {line(error)}") from error
    if any(each.element_type == openvino.Type.bf16 for each in (*found.inputs, *found.outputs)):
        raise ExportError("OpenVINO exchanges no bfloat16 with NumPy: export the model in float32 or float16")
    return Compiled(
        core,
        found,
        {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": "f32",  # bfloat16 elsewhere, where the processor has it
            **settings,
        },
    )


@frozen(eq=False)
class Compiled:
    """One model in OpenVINO, compiled when inputs of new shapes come."""

    core: Any
    model: Any
    settings: Mapping[str, Any]
    requests: dict[tuple[tuple[int, ...], ...], Any] = field(factory=dict)

    def __call__(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return the outputs, in order."""
        wanted = len(self.model.inputs)
        if len(inputs) != wanted:
            raise ExportError(f"the file takes {wanted} inputs, got {len(inputs)}")
        shapes = tuple(each.shape for each in inputs)
        try:
            if shapes not in self.requests:
                self.requests[shapes] = self._request(shapes)
            request = self.requests[shapes]
            request.infer(list(inputs))
            return [np.array(tensor.data) for tensor in request.output_tensors]
        except Exception as error:
            raise ExportError(f"OpenVINO cannot run the model: {line(error)}") from error

    def _request(self, shapes: Sequence[tuple[int, ...]]) -> Any:
        model = self.model
        if model.is_dynamic():
            model = model.clone()
            given = zip(model.inputs, shapes, strict=True)
            model.reshape({each: openvino.PartialShape(list(shape)) for each, shape in given})
        return self.core.compile_model(model, "CPU", dict(self.settings)).create_infer_request()


def version() -> str:
    """Return OpenVINO's name and version."""
    return f"OpenVINO {openvino.__version__.partition('-')[0]}"


def device() -> str:
    """Return the processor's name."""
    return str(openvino.Core().get_property("CPU", "FULL_DEVICE_NAME"))


def line(error: Exception) -> str:
    """Return an error in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
