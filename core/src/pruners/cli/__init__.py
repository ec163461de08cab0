"""The command line: every command is one module that loads what it needs when it runs."""

from __future__ import annotations

import warnings
from typing import Any

import click

from ..errors import PrunersError
from ..progress import show_progress
from .checking import check
from .details import info
from .diagnosing import doctor
from .exporting import export
from .listing import list_plugins
from .making import new
from .measuring import measure
from .reporting import report
from .running import run
from .saving import pack
from .scanning import sensitivity
from .showing import demo


class UserError(click.ClickException):
    """One clear line on the error stream and exit status 2."""

    exit_code = 2


class Interrupted(click.ClickException):
    """One line on the error stream, and the exit status that shells give to what an interrupt ended."""

    exit_code = 130

    def __init__(self) -> None:
        """Say what happened."""
        super().__init__("interrupted")

    def show(self, file: Any = None) -> None:
        """Print the line."""
        click.echo("Interrupted", err=True)


class Commands(click.Group):
    """A group whose commands report Pruners' own errors and warnings in one line, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            try:
                with show_progress():
                    return super().invoke(ctx)
            except PrunersError as error:
                raise UserError(" ".join(str(error).split())) from error
            except KeyboardInterrupt:
                raise Interrupted from None


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    click.echo(f"{category.__name__}: {message}", err=True)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pruners")
def main() -> None:
    """Prune neural networks; every algorithm and every framework is a plugin."""


COMMANDS = (
    *(list_plugins, info, doctor),
    *(run, report, measure, export, pack, sensitivity, demo),
    *(new, check),
)
for command in COMMANDS:
    main.add_command(command)
