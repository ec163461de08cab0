"""The NumPy backend: a model is a mapping of arrays, or any object whose attributes are arrays."""

from collections.abc import Iterable

import pruners


@pruners.hookimpl
def provide_backends() -> Iterable[pruners.BackendSpec]:
    """Offer the reference backend; it names no framework module, so it is asked last."""
    yield pruners.BackendSpec(
        name="numpy",
        api=1,
        factory="pruners_numpy._backend:NumpyBackend",
        summary="a dict of arrays, or any object with named arrays; the reference",
    )
