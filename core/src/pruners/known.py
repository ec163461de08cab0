"""First-party names and the packages they are in, so that an unknown name can say what to install."""

from __future__ import annotations

PACKAGES = {
    ("backend", "mxnet"): "pruners-mxnet",
    ("backend", "numpy"): "pruners-numpy",
    ("backend", "torch"): "pruners-torch",
    ("pattern", "bank"): "pruners-bank",
    ("pattern", "block"): "pruners-block",
    ("pattern", "nm"): "pruners-nm",
    ("pruner", "apoz"): "pruners-apoz",
    ("pruner", "bn-scale"): "pruners-bn-scale",
    ("pruner", "filter-norm"): "pruners-filter-norm",
    ("pruner", "fpgm"): "pruners-fpgm",
    ("pruner", "level"): "pruners-level",
    ("pruner", "random"): "pruners-random",
    ("pruner", "sensitivity"): "pruners-sensitivity",
    ("pruner", "taylor"): "pruners-taylor",
    ("pruner", "thinet"): "pruners-thinet",
    ("runtime", "onnxruntime"): "pruners-onnxruntime",
    ("runtime", "openvino"): "pruners-openvino",
    ("runtime", "openvino-int8"): "pruners-openvino",
    ("runtime", "torch-export"): "pruners-torch",
    ("runtime", "torch-semi-structured"): "pruners-torch",
    ("schedule", "agp"): "pruners-agp",
    ("schedule", "constant"): "pruners-constant",
    ("schedule", "exponential"): "pruners-exponential",
    ("schedule", "linear"): "pruners-linear",
    ("schedule", "moffett"): "pruners-moffett",
    ("schedule", "one-shot"): "pruners-constant",
    ("schedule", "paddle"): "pruners-paddle",
    ("schedule", "paddle-static"): "pruners-paddle",
}
"""``(kind, name) -> package`` of every plugin this project publishes."""

RUNS = {"onnx": "pruners-onnxruntime", "pt2": "pruners-torch"}
"""File format -> the package with a runtime that opens it."""

FRAMEWORKS = {"mxnet": "pruners-mxnet", "numpy": "pruners-numpy", "torch": "pruners-torch"}
"""Top-level module of a model's type -> the package with its backend."""

MODELS = {
    "mxnet": "the mxnet.gluon.Block itself, not its parameters",
    "torch": "the torch.nn.Module itself, not its state_dict",
}
"""Top-level module of a framework -> what to pass where parts of its model were passed."""
