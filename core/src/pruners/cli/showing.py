"""``pruners demo``."""

from __future__ import annotations

import click


@click.command()
@click.option(
    "--channels", is_flag=True, help="Remove half the channels of a residual network, instead of 90 % zeros."
)
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(min=1), help="Repetitions.")
@click.option(
    "--epochs", default=10, show_default=True, type=click.IntRange(min=2), help="Passes over the data."
)
@click.option(
    "--output",
    default="demo-output",
    show_default=True,
    type=click.Path(file_okay=False),
    help="Folder to write to.",
)
@click.pass_context
def demo(ctx: click.Context, channels: bool, seeds: int, epochs: int, output: str) -> None:
    """Train a small network on handwritten digits, dense and pruned, and compare.

    Needs PyTorch, scikit-learn, matplotlib and Jinja2. Exit status 1 when a promise about the pruned network
    is broken.
    """
    from ..demo import run_demo

    ctx.exit(0 if run_demo(channels=channels, seeds=seeds, epochs=epochs, output=output) else 1)
