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


@pruners.hookimpl
def provide_runtimes() -> Iterable[pruners.RuntimeSpec]:
    """Offer what runs PyTorch models beside PyTorch's own calls."""
    yield pruners.RuntimeSpec(
        name="torch-export",
        api=1,
        factory="pruners_torch.exporting.runtimes:TorchExport",
        format="pt2",
        modules=("torch",),
        summary="exported programs of PyTorch",
    )
    yield pruners.RuntimeSpec(
        name="torch-semi-structured",
        api=1,
        factory="pruners_torch.exporting.runtimes:SemiStructured",
        format="torch",
        modules=("torch",),
        summary="modules on a graphics card, 2:4 weights packed",
    )
