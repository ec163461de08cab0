"""``pruners run``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..recipes import Recipe
    from ..reports import Report
    from ..session import Pruning


@click.command()
@click.argument("recipe", type=click.Path(dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON instead of a table.")
def run(recipe: str, as_json: bool) -> None:
    """Prune the model that RECIPE names, by its rules, and print what was reached.

    RECIPE is a .toml or .yaml file. `model = "module:function"` builds the model. With
    `train = "module:function"` that function is called as train(model, attach); attach(optimizer) starts the
    session and returns it. Without it everything is pruned at once, to the end of each schedule.
    `output = "file.safetensors"` writes the weights, with `sparse = true` without their zeros; a NumPy
    model's also as .npz.
    """
    from ..recipes import recipe as read
    from ..registry import backend_for
    from ._common import show, show_json
    from ._files import check_output

    what = read(recipe)
    model = _model(what)
    backend = backend_for(model)
    if what.output is not None:
        check_output(what.output, backend.open(model), backend.name, what.source)
    reached = _prune(what, model)
    if what.output is not None:
        _write(model, what.output, what.sparse)
    if as_json:
        show_json(reached.to_dict())
    else:
        show(reached)
        if what.output is not None:
            click.echo(f"Wrote {what.output}")


def _write(model: Any, output: str, sparse: bool) -> None:
    """Write the weights; an interrupt waits until the file is complete."""
    import pruners

    from ..interrupts import shielded
    from ..registry import backend_for

    if sparse:
        pruners.save(model, output, sparse=True)
        return
    with shielded():
        backend_for(model).open(model).save(output)


def _model(what: Recipe) -> Any:
    """Build the model, after everything that can be checked before has been."""
    from ..errors import RecipeError
    from ._common import load_function

    if what.model is None:
        raise RecipeError(
            f"{what.source}: model: is missing; name the function that builds it, 'module:function'"
        )
    if what.output is not None and not Path(what.output).parent.is_dir():
        raise RecipeError(f"{what.source}: output: there is no folder {str(Path(what.output).parent)!r}")
    if what.output is not None and Path(what.output).is_dir():
        raise RecipeError(f"{what.source}: output: {what.output!r} is a folder; name a file")
    if what.train is not None:
        load_function(what.train, f"{what.source}: train:")
    return load_function(what.model, f"{what.source}: model:")()


def _prune(what: Recipe, model: Any) -> Report:
    import pruners

    from ._common import load_function

    if what.train is None:
        pruners.prune(model, what.rules)
        return pruners.report(model)
    sessions: list[Pruning] = []
    load_function(what.train, f"{what.source}: train:")(model, _attacher(model, what, sessions))
    if not sessions:
        raise pruners.RecipeError(
            f"{what.source}: train: {what.train!r} never called attach: nothing was pruned"
        )
    reached = sessions[-1].report()
    for session in sessions:
        with suppress(pruners.StateError):  # the function may have finished it
            session.finish()
    return reached


def _attacher(model: Any, what: Recipe, sessions: list[Pruning]) -> Callable[..., Pruning]:
    """Return what `train` calls to start the recipe's session on its optimizer."""

    def attach(optimizer: Any = None, *, data: Any = None, loss: Any = None) -> Pruning:
        import pruners

        session = pruners.attach(model, what.rules, optimizer, data=data, loss=loss)
        sessions.append(session)
        return session

    return attach
