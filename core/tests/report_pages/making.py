"""Models and results to make pages of."""

from __future__ import annotations

import numpy as np

import pruners


def model(seed=0):
    generator = np.random.default_rng(seed)
    return {
        "conv.weight": generator.standard_normal((16, 8, 3, 3)).astype(np.float32),
        "fc.weight": generator.standard_normal((10, 64)).astype(np.float32),
        "fc.bias": generator.standard_normal(10).astype(np.float32),
    }


def session(weights, sparsity=0.75):
    ramp = pruners.schedule("agp", start=0, stop=4, every=2)
    pruning = pruners.attach(weights, pruners.Rule(sparsity=sparsity, schedule=ramp))
    for step in range(5):
        pruning.record(accuracy=0.9 - step / 100, loss=float("nan") if step == 3 else 1.0)
        pruning.step()
    return pruning


def scan(weights):
    return pruners.sensitivity(
        weights, lambda model: float(np.abs(model["fc.weight"]).sum()), sparsities=[0.5, 0.9]
    )


REMOVAL = {
    "pruner": "fpgm",
    "form": "module",
    "groups": [
        {
            "layer": "conv.weight",
            "layers": ["conv.weight"],
            "units": 32,
            "kept": 16,
            "parameters": 1000,
            "macs": 5000,
            "restored": "",
        },
        {
            "layer": "b.weight",
            "layers": ["b.weight", "c.weight"],
            "units": 8,
            "kept": 8,
            "parameters": 0,
            "macs": 0,
            "restored": "a size in the code <b>",
        },
    ],
    "whole": {"fc.weight": "is returned by the model"},
    "parameters": {"before": 4000, "after": 1802},
    "macs": {"before": 90_000, "after": 30_000},
    "proof": {"outputs": 40, "error": 1e-7, "tolerance": 1e-5, "dtype": "float32", "normalised": []},
    "unruled": [],
    "latency": [
        {"median": 2.0, "low": 1.9, "high": 2.1, "rounds": 20},
        {"median": 1.99, "low": 1.9, "high": 2.1, "rounds": 20},
    ],
    "seconds": {},
}

MEASUREMENT = {
    "machine": {"processor": "a <fast> one"},
    "threads": 1,
    "rounds": 20,
    "batch": 8,
    "models": [
        {
            "name": "dense",
            "backend": "numpy",
            "parameters": 1802,
            "nonzeros": 1800,
            "macs": 90_000,
            "bytes": {"dense file": 7400},
            "memory": {"parameters": 7208},
            "accuracy": 0.91,
            "note": "",
        },
        {
            "name": "small",
            "backend": "numpy",
            "parameters": 1802,
            "nonzeros": 470,
            "macs": None,
            "bytes": {"dense file": 7400, "sparse file": 2900},
            "memory": {"parameters": 7208},
            "accuracy": None,
            "note": "",
        },
    ],
    "rows": [
        {
            "model": "dense",
            "runtime": "onnx",
            "median_ms": 2.5,
            "low_ms": 2.4,
            "high_ms": 2.6,
            "rounds": 20,
            "file_bytes": 7500,
            "peak_bytes": None,
            "error": 1e-7,
            "note": "",
        },
        {
            "model": "small",
            "runtime": "onnx",
            "median_ms": None,
            "low_ms": None,
            "high_ms": None,
            "rounds": 0,
            "file_bytes": None,
            "peak_bytes": None,
            "error": None,
            "note": "no operator for it",
        },
    ],
    "sentences": ["No faster here: small in onnx."],
}

EXPORTED = {
    "path": "small <1>.onnx",
    "to": "onnx",
    "files": {"small <1>.onnx": 2000},
    "bytes": 2000,
    "dense_bytes": 7500,
    "dense": "",
    "ran": [
        {
            "runtime": "onnxruntime",
            "error": 2e-7,
            "dense": {"median": 2.0, "low": 1.9, "high": 2.1, "rounds": 20},
            "latency": {"median": 1.98, "low": 1.9, "high": 2.1, "rounds": 20},
            "gain": 0.0,
        },
        {"runtime": "openvino", "error": 3e-7, "dense": None, "latency": None, "gain": None},
    ],
    "threads": 1,
    "rounds": 20,
    "notes": [],
    "machine": {},
    "sentences": ["No faster here in ONNX Runtime."],
}
