"""The MXNet backend: masks any Gluon ``Block`` in place, without wrapping or renaming anything."""

from collections.abc import Iterable

import pruners


@pruners.hookimpl
def provide_backends() -> Iterable[pruners.BackendSpec]:
    """Offer the backend of Apache MXNet; listing it does not import mxnet."""
    yield pruners.BackendSpec(
        name="mxnet",
        api=1,
        factory="pruners_mxnet._backend:MXNetBackend",
        modules=("mxnet",),
        summary="mxnet.gluon.Block, masked in place",
    )
