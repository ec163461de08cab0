"""``pruners pack``."""

from __future__ import annotations

import click


@click.command()
@click.argument("source", metavar="IN", type=click.Path(dir_okay=False))
@click.argument("target", metavar="OUT", type=click.Path(dir_okay=False))
@click.option("--dense", is_flag=True, help="Write zeros out instead, for other readers of safetensors.")
@click.option("--backend", help="Framework of a model that Pruners did not save; as a rule the file says it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a sentence.")
def pack(source: str, target: str, dense: bool, backend: str | None, as_json: bool) -> None:
    """Leave the zeros out of a file of weights, or write them out, and print both sizes.

    IN is any .safetensors file, OUT may be the same. `pruners.load` reads what is written, sparse or not;
    other readers of safetensors need --dense. Every bit is kept.
    """
    from attrs import asdict

    from ..storage.repacking import repack
    from ._common import show_json

    found = repack(source, target, sparse=not dense, backend=backend)
    if as_json:
        show_json(asdict(found))
        return
    packed = f"{found.packed} of {found.tensors} tensors without their zeros"
    click.echo(
        f"{found.before:,} bytes in {source}, {found.after:,} in {target} "
        f"({found.after / max(1, found.before):.0%}); {packed}"
    )
