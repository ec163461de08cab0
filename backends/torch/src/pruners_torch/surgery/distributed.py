"""Models under DistributedDataParallel: all ranks agree, then gradients are gathered in new buckets."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as group
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from pruners import ProofError, RemovalError
from pruners.structure.plan import RemovalPlan

_OPTIONS = {"mixed_precision": "mixed_precision", "_delay_grad_buffer": "delay_all_reduce_named_params"}


def wrappers(model: nn.Module) -> list[DistributedDataParallel]:
    """Return the wrappers that gather this model's gradients; they know it, it does not know them."""
    if not (group.is_available() and group.is_initialized()):
        return []
    found = [each for each in gc.get_objects() if issubclass(type(each), DistributedDataParallel)]
    return [each for each in found if any(module is model for module in each.module.modules())]


def check(model: nn.Module, found: Sequence[DistributedDataParallel]) -> None:
    """Raise where parameters are spread over ranks in a way that cannot be cut."""
    for name, parameter in model.named_parameters():
        if type(parameter.data) is not torch.Tensor and "distributed" in type(parameter.data).__module__:
            raise RemovalError(
                f"{name!r} is a {type(parameter.data).__name__}, spread over ranks; "
                "remove channels before sharding"
            )
    for module in model.modules():
        if type(module).__name__ == "FullyShardedDataParallel":
            raise RemovalError(
                "FullyShardedDataParallel flattens parameters; cut the model before wrapping it"
            )
    for option in ("mixed_precision", "_delay_grad_buffer"):
        if any(getattr(wrapper, option, None) is not None for wrapper in found):
            raise RemovalError(
                f"DistributedDataParallel({_OPTIONS[option]}=...) holds memory of the parameters' sizes; "
                "remove channels before wrapping"
            )


def agree(found: Sequence[DistributedDataParallel], plan: RemovalPlan, failed: bool) -> None:
    """Raise on every rank if one of them failed, or if they were about to remove different channels."""
    for wrapper in found:
        mine = torch.tensor([int(failed), _digest(plan)], device=_device(wrapper))
        ranks = [torch.empty_like(mine) for _ in range(group.get_world_size(wrapper.process_group))]
        group.all_gather(ranks, mine, group=wrapper.process_group)
        if failed:
            continue
        broken = [rank for rank, theirs in enumerate(ranks) if theirs[0]]
        if broken:
            raise ProofError(f"rank {broken[0]} could not make its model smaller; all ranks were put back")
        if any(theirs[1] != mine[1] for theirs in ranks):
            raise RemovalError("ranks were about to remove different channels; all were put back")


def rebuild(wrapper: DistributedDataParallel) -> None:
    """Let a wrapper gather gradients of the sizes that its parameters have now."""
    wrapped: Any = wrapper
    wrapped.reducer = wrapped.logger = None
    parameters, sparse = wrapped._build_params_for_reducer()
    names = wrapped._build_debug_param_to_name_mapping(parameters)
    wrapped._ddp_init_helper(parameters, sparse, names, wrapped.static_graph)
    wrapped._has_rebuilt_buckets = False
    if wrapped.static_graph:
        wrapped._static_graph_delay_allreduce_enqueued = False
        wrapped.reducer._set_static_graph()
        wrapped.logger._set_static_graph()
    communication: Any = group
    for hook, state in wrapped._comm_hooks:
        communication._register_comm_hook(wrapped.reducer, state, hook)


def _digest(plan: RemovalPlan) -> int:
    """Return 63 bits of what a plan says."""
    digest = hashlib.sha256()
    for part in (plan.kept, plan.factors):
        for name in sorted(part):
            for axis in sorted(part[name]):
                digest.update(f"{name} {axis} {part[name][axis].tolist()}".encode())
    for attribute in sorted(plan.attributes, key=str):
        digest.update(f"{attribute} {plan.attributes[attribute]}".encode())
    return int.from_bytes(digest.digest()[:8], "big") >> 1


def _device(wrapper: DistributedDataParallel) -> torch.device:
    device: torch.device = next(wrapper.module.parameters()).device
    return device
