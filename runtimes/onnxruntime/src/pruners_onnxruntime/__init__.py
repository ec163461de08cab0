"""ONNX Runtime: runs the ONNX files that `pruners export` writes."""

from collections.abc import Iterable

import pruners


@pruners.hookimpl
def provide_runtimes() -> Iterable[pruners.RuntimeSpec]:
    """Offer ONNX Runtime; listing it does not import it."""
    yield pruners.RuntimeSpec(
        name="onnxruntime",
        api=1,
        factory="pruners_onnxruntime._runtime:OnnxRuntime",
        format="onnx",
        modules=("onnxruntime",),
        summary="ONNX Runtime on the processor",
    )
