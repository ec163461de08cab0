"""OpenVINO: runs the ONNX files that `pruners export` writes, in float32 or rounded to int8."""

from collections.abc import Iterable

import pruners


@pruners.hookimpl
def provide_runtimes() -> Iterable[pruners.RuntimeSpec]:
    """Offer OpenVINO in two precisions; listing them does not import it."""
    yield pruners.RuntimeSpec(
        name="openvino",
        api=1,
        factory="pruners_openvino._runtime:OpenVINO",
        format="onnx",
        modules=("openvino",),
        summary="OpenVINO on the processor, in float32",
    )
    yield pruners.RuntimeSpec(
        name="openvino-int8",
        api=1,
        factory="pruners_openvino._int8:OpenVINOInt8",
        format="onnx",
        modules=("openvino", "nncf"),
        summary="OpenVINO on the processor, rounded to int8, sparse weights packed",
    )
