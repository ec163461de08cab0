import pruners


@pruners.hookimpl
def provide_backends():
    yield pruners.BackendSpec(
        name="mininet",
        factory="pruners_mininet.backend:MininetBackend",
        modules=("mininet",),
        summary="a mininet.Network, masked in place",
    )
