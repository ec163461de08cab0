"""The PyTorch backend: masks any ``nn.Module`` in place, without wrapping or renaming anything."""

from collections.abc import Iterable

import pruners


@pruners.hookimpl
def provide_backends() -> Iterable[pruners.BackendSpec]:
    """Offer the backend of PyTorch; listing it does not import torch."""
    yield pruners.BackendSpec(
        name="torch",
        api=1,
        factory="pruners_torch._backend:TorchBackend",
        modules=("torch",),
        summary="torch.nn.Module, masked in place",
    )
