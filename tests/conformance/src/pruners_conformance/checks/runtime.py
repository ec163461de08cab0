"""Promises of a runtime."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

import pruners
from pruners.discovery import told
from pruners.measuring import differing

from ..outcome import Check, NotApplicable
from ..serving import bits, contents, made
from ..subject import RuntimeCase

EXACT, ROUNDED = 1e-3, 5e-2
"""Largest difference of outputs, over the largest; the second of runtimes that convert."""


def check_it_says_what_it_is(case: RuntimeCase) -> None:
    """
    `describe` gives text by name, "runtime" among it: the engine with its version.

    On failure: return a dict of texts with the key "runtime".
    """
    found = case.subject.make().describe()
    for name, value in found.items():
        assert isinstance(name, str) and isinstance(value, str), (
            f"describe gives {name!r}: {value!r}: no text"
        )
    assert found.get("runtime", "").strip(), f"describe gives {json.dumps(dict(found))}, without 'runtime'"


def check_outputs_are_those_of_the_model(case: RuntimeCase) -> None:
    """
    Running gives every output of the model, in order and shape, as NumPy arrays, within the tolerance.

    On failure: compare output by output; check the order of inputs, and that nothing is left out.
    """
    with made(case) as models:
        for model in models:
            found = model.open()(list(model.inputs))
            for number, each in enumerate(found):
                assert isinstance(each, np.ndarray), (
                    f"output {number} is a {type(each).__name__}, no NumPy array"
                )
            try:
                error = differing.error(model.outputs, found)
            except pruners.ExportError as why:
                raise AssertionError(str(why)) from why
            rounds = isinstance(model.runtime, pruners.Converts)
            limit = case.tolerance or (ROUNDED if rounds else EXACT)
            assert error <= limit, f"outputs differ by {error:.1e} of the largest, more than {limit:.0e}"


def check_runs_do_not_touch_each_other(case: RuntimeCase) -> None:
    """
    A second run gives the same again; inputs and earlier outputs stay as they are.

    On failure: copy what the engine writes into memory that it uses again, and keep no state.
    """
    with made(case) as models:
        for model in models:
            running = model.open()
            inputs = [each.copy() for each in model.inputs]
            first = running(inputs)
            before = bits(first)
            running([np.zeros_like(each) for each in inputs])
            assert bits(first) == before, "another run changed the outputs of the one before"
            assert bits(running(inputs)) == before, "the same inputs give other outputs when run again"
            assert bits(inputs) == bits(model.inputs), "running changed the inputs"


def check_what_it_cannot_open_is_an_export_error(case: RuntimeCase) -> None:
    """
    A file that is none raises `pruners.ExportError`, when it is opened or run.

    On failure: catch what the engine raises, and chain it to an ExportError that names the file.
    """
    with made(case) as models:
        for model in models:
            if not isinstance(model.model, Path):
                raise NotApplicable("it opens live models")
            damaged = model.model.with_name(f"damaged{model.model.suffix}")
            damaged.write_bytes(b"this is no model")
            try:
                model.runtime.open(damaged, threads=1)(list(model.inputs))
            except pruners.ExportError:
                continue
            except Exception as error:
                raise AssertionError(f"a damaged file raises {told(error)}") from error
            raise AssertionError("a damaged file is opened and run as if it were a model")


def check_the_model_is_not_changed(case: RuntimeCase) -> None:
    """
    Opening and running leave files and live models as they were.

    On failure: work on a copy.
    """
    with made(case) as models:
        for model in models:
            before = contents(model)
            model.open()(list(model.inputs))
            after = contents(model)
            changed = sorted(name for name in before if before[name] != after.get(name))
            assert not changed, f"{', '.join(changed)} changed"


def check_converted_files_stand_alone(case: RuntimeCase) -> None:
    """
    What `convert` writes is opened without the file that it was made from.

    On failure: write everything into the folder of the target, and refer to nothing outside.
    """
    if not isinstance(case.subject.make(), pruners.Converts):
        raise NotApplicable("it has no method convert")
    with made(case) as models:
        for model in models:
            if model.source is None:
                raise NotApplicable("it opens live models")
            assert isinstance(model.model, Path)
            assert model.model.is_file(), f"convert wrote no {model.model.name}"
            for each in model.source.parent.iterdir():
                each.unlink()
            try:
                model.open()(list(model.inputs))
            except NotApplicable as why:
                raise AssertionError(f"without its source: {why}") from why


CHECKS: tuple[Check, ...] = (
    check_it_says_what_it_is,
    check_outputs_are_those_of_the_model,
    check_runs_do_not_touch_each_other,
    check_what_it_cannot_open_is_an_export_error,
    check_the_model_is_not_changed,
    check_converted_files_stand_alone,
)
