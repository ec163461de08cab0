"""One network through `pruners.remove`, beside a reference that shares nothing with the library."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import mxnet
import numpy as np
from mxnet.gluon import Block

import pruners
from pruners import timing

from ..results import Result
from .networks import Network

SPARSITY = 0.5
TOLERANCE = 1e-6
clock = time.process_time


def run(network: Network, pruner: str = "filter-norm", small: bool = False, hybrid: bool = False) -> Result:
    """Remove half of a network's channels, compare, and return what came of it, errors included."""
    side = network.side(small)
    found: dict[str, Any] = {
        "name": f"gluon/{network.name}", "family": network.family, "form": "module", "image": f"{side}x{side}"
    }  # fmt: skip
    vars(timing)["perf_counter"] = clock  # processor time is the same on a busy machine
    net, inputs = network.build(small)
    weights = arrays(net)
    if hybrid:
        net.hybridize()
    found["forward"] = forward_seconds(net, inputs)
    try:
        removal = pruners.remove(
            net, pruner, sparsity=SPARSITY, example_inputs=inputs, measure=0, **network.options
        )
    except pruners.PrunersError as error:
        return Result(**found, refused=" ".join(str(error).split())[:400])
    found |= {
        "proof_error": removal.proof.error,
        "proof_dtype": removal.proof.dtype,
        "groups": len(removal.groups),
        "units": sum(group.units for group in removal.groups),
        "left": sum(group.units - group.kept for group in removal.groups),
        "parameters": (size(weights), size(arrays(removal.model))),
        "macs": (removal.macs.before, removal.macs.after),
        "whole": dict(removal.whole),
        "restored": {group.layer: group.restored for group in removal.groups if group.restored},
        "unruled": removal.unruled,
        "seconds": dict(removal.seconds),
    }
    found |= compare(network, weights, removal, inputs)
    found["trains"] = training_step(removal.model, inputs)
    found["memory"] = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Result(**found)


def arrays(net: Block) -> dict[str, np.ndarray]:
    """Return copies of every parameter, running statistics included."""
    return {name: each.data().asnumpy() for name, each in net._collect_params_with_prefix().items()}


def size(weights: dict[str, np.ndarray]) -> int:
    """Return the number of trained parameters."""
    return sum(array.size for name, array in weights.items() if ".running_" not in name)


def forward_seconds(net: Block, inputs: Any) -> float:
    """Return the median of three forward passes, after one that warms up."""
    return statistics.median(_timed(lambda: net(inputs).asnumpy()) for _ in range(4)[1:])


def _timed(call: Callable[[], object]) -> float:
    begin = clock()
    call()
    return clock() - begin


def compare(
    network: Network, weights: dict[str, np.ndarray], removal: pruners.Removal, inputs: Any
) -> dict[str, Any]:
    """Compare the smaller net with the masked original, both built anew or cast, in float64."""
    wide = inputs.astype("float64")
    dense = _output(network, weights, inputs, wide)
    masked = _output(network, mask(weights, removal.plan.kept), inputs, wide)
    removal.model.cast("float64")
    found = removal.model(wide).asnumpy()
    removal.model.cast("float32")
    scale = np.abs(masked).max()
    error = float(np.abs(found - masked).max() / scale)
    return {
        "dtype": "float64",
        "error": error,
        "exact": error <= TOLERANCE,
        "moved": float(np.abs(dense - masked).max() / scale),
    }


def mask(weights: dict[str, np.ndarray], kept: Any) -> dict[str, np.ndarray]:
    """Return weights with everything that leaves set to zero; a running variance is one."""
    found = {}
    for name, array in weights.items():
        masked = array.copy()
        for axis, indices in kept.get(name, {}).items():
            leaving = np.setdiff1d(np.arange(array.shape[axis]), indices)
            np.moveaxis(masked, axis, 0)[leaving] = 1.0 if name.endswith("running_var") else 0.0
        found[name] = masked
    return found


def _output(network: Network, weights: dict[str, np.ndarray], inputs: Any, wide: Any) -> np.ndarray:
    net = network.create()
    net.initialize()
    net(inputs)
    for name, parameter in net._collect_params_with_prefix().items():
        parameter.set_data(mxnet.nd.array(weights[name]))
    net.cast("float64")
    output: np.ndarray = net(wide).asnumpy()
    return output


def training_step(net: Block, inputs: Any) -> str:
    """Train the smaller net for one step; return "yes", or what is wrong."""
    try:
        return _trained(net, inputs)
    except mxnet.MXNetError as error:
        return str(error).strip().splitlines()[-1]


def _trained(net: Block, inputs: Any) -> str:
    trainer = mxnet.gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 1e-4, "momentum": 0.9})
    with mxnet.autograd.record():
        loss = net(inputs).square().mean()
    loss.backward()
    trainer.step(1)
    gradients = [each.grad().asnumpy() for each in net.collect_params().values() if each.grad_req != "null"]
    return "yes" if all(np.isfinite(each).all() for each in gradients) else "a gradient is not finite"
