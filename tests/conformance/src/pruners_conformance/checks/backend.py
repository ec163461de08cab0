"""Promises of a backend."""

from __future__ import annotations

import contextlib

import array_api_compat.numpy as reference
import numpy as np

import pruners
from pruners.selection import choose_masks
from pruners.selection.ranking import Ranking

from .. import drawing, frameworks
from ..outcome import Check
from ..specimens import (
    SHAPES,
    USES,
    WRITES,
    Absolute,
    Vandal,
    bits_of,
    can_make,
    changed_names,
    half_masks,
    maker,
    models_of,
    odd,
    odd_arrays,
    parameters_of,
    plain_arrays,
    reached,
    scorer,
)
from ..subject import BackendCase

FOREIGN: tuple[object, ...] = (None, object(), 3, 0.5, "model", [1, 2], {}, {"w": 1.0}, dict, len)


def check_models_can_be_made(case: BackendCase) -> None:
    """
    A small model of its framework can be made from arrays, which all other checks need.

    On failure: pass make_model=, or give the backend's package a module `testing` with a function
    ``model_from_arrays({parameter name: (out, in, *kernel) NumPy array}) -> model`` and, where
    ``dict(model)`` is not ``{name: parameter}``, one ``parameters(model)`` that returns it.
    """
    assert can_make(case), f"the package of {case.subject.label} has no module `testing` that makes models"


def check_it_handles_its_own_models_only(case: BackendCase) -> None:
    """
    `handles` says True to models of its framework and False to everything else.

    On failure: decide by the model's type; do not claim what merely has similar attributes.
    """
    backend = case.subject.make()
    for label, model in models_of(case):
        assert backend.handles(model) is True, f"handles says no to its own {label}"
    for foreign in FOREIGN:
        assert backend.handles(foreign) is False, f"handles claims {foreign!r}"
    for name, build in frameworks.builders().items():
        if name != backend.name:
            model = build(plain_arrays())
            assert backend.handles(model) is False, f"handles claims a model of {name}"


def check_layers_are_named_and_shaped(case: BackendCase) -> None:
    """
    `layers` has every weight by the framework's own name, in canonical shape ``(out, in, *kernel)``.

    On failure: build each `Layer` from the parameter's full name; transpose shapes of layouts
    that are not output first.
    """
    for label, model in models_of(case):
        opened = case.subject.make().open(model)
        own = set(parameters_of(case, model))
        for name, layer in opened.layers.items():
            assert name == layer.name, f"{label}: layers[{name!r}] calls itself {layer.name!r}"
            assert name in own, f"{label}: {name!r} is no parameter name of the model"
            read = opened.read(name)
            assert layer.shape == read.shape, f"{label}: {name!r} has shape {layer.shape}, read {read.shape}"
    opened = case.subject.make().open(maker(case)(plain_arrays()))
    for name, array in plain_arrays().items():
        assert name in opened.layers, f"{name!r} is missing; layers are {list(opened.layers)}"
        shape = opened.layers[name].shape
        assert shape == array.shape, f"{name!r} was made as {array.shape}, its layer says {shape}"
        assert opened.layers[name].default, f"{name!r} of shape {shape} is out of reach of wildcards"


def check_the_view_is_read_only(case: BackendCase) -> None:
    """
    Writing through a view raises, or changes a copy: the model stays as it is, bit for bit.

    On failure: give out read-only arrays, or copies where the framework has none.
    """
    for label, model in models_of(case):
        opened = case.subject.make().open(model)
        before = bits_of(opened)
        for write in WRITES:
            with contextlib.suppress(pruners.PrunersError):
                scorer(opened, Vandal(write)).rankings()
            changed = changed_names(before, bits_of(opened))
            assert not changed, f"{label}: {write.__name__} on a view changed {changed}"


def check_missing_data_is_an_error(case: BackendCase) -> None:
    """
    Asking a view for activations or gradients without data raises `pruners.NeedsData`.

    On failure: raise it with what to pass: ``data=``, ``loss=``.
    """
    for label, model in models_of(case):
        opened = case.subject.make().open(model)
        for ask in (lambda view: list(view.activations()), lambda view: view.gradients()):
            try:
                ask(opened.view(reached(opened)))
            except pruners.NeedsData as error:
                assert str(error).strip(), f"{label}: NeedsData says nothing"
            else:
                raise AssertionError(f"{label}: no error without data")


def check_ops_agree_with_numpy(case: BackendCase) -> None:
    """
    Every function in `ops` that pruners may call gives what NumPy gives, on the view's arrays.

    On failure: wrap the function of the message so that its name, arguments and result are
    those of the array API standard.
    """
    arrays = plain_arrays()
    opened = case.subject.make().open(maker(case)(arrays))
    view = opened.view(list(arrays))
    for name, array in arrays.items():
        for what, use in USES.items():
            expected = np.asarray(use(reference, array))
            try:
                found = np.asarray(opened.host(use(view.ops, view.weights[name])))
            except (AttributeError, TypeError, ValueError, RuntimeError, NotImplementedError) as error:
                raise AssertionError(f"ops.{what} fails: {type(error).__name__}: {error}") from error
            assert found.shape == expected.shape, f"ops.{what}: shape {found.shape}, NumPy {expected.shape}"
            same = np.allclose(found.astype(np.float64), expected.astype(np.float64), rtol=1e-5, atol=1e-6)
            assert same, f"ops.{what}: {found.tolist()}, NumPy has {expected.tolist()}"


def check_reading_and_writing_are_exact(case: BackendCase) -> None:
    """
    What is written is read back bit for bit, NaN payloads and -0.0 included.

    On failure: copy memory; convert, multiply and add nothing on the way.
    """
    for label, model in models_of(case):
        opened = case.subject.make().open(model)
        for name, layer in opened.layers.items():
            before = bits_of(opened)
            array = odd(layer.shape).astype(opened.read(name).dtype)
            opened.write({name: array})
            same = opened.read(name).tobytes() == array.tobytes()
            assert same, f"{label}: {name!r} reads back {opened.read(name).tolist()}, not {array.tolist()}"
            changed = changed_names(before, bits_of(opened)) - {name}
            assert not changed, f"{label}: writing {name!r} also changed {sorted(changed)}"
    arrays = odd_arrays()
    opened = case.subject.make().open(maker(case)(arrays))
    for name, array in arrays.items():
        assert opened.read(name).tobytes() == array.tobytes(), f"{name!r} reads otherwise than it was made"


def check_native_arrays_fit_the_parameters(case: BackendCase) -> None:
    """
    `native` lays a canonical array out as the parameter is, and `host` brings it back.

    On failure: transpose in `native` as `read` does, the other way round.
    """
    for label, model in models_of(case):
        opened = case.subject.make().open(model)
        own = parameters_of(case, model)
        for name in opened.layers:
            weight = np.array(opened.read(name))
            native = np.asarray(opened.host(opened.native(name, weight)))
            stored = np.asarray(opened.host(own[name]))
            assert native.shape == stored.shape, f"{label}: {name!r} is {stored.shape}, native {native.shape}"
            same = np.ascontiguousarray(native).tobytes() == np.ascontiguousarray(stored).tobytes()
            assert same, f"{label}: native lays {name!r} out otherwise than the parameter"
            mask = opened.host(opened.native(name, weight > 0))
            assert mask.dtype == bool, f"{label}: a bool mask of {name!r} comes back as {mask.dtype}"
            assert np.array_equal(mask, stored > 0), f"{label}: a mask of {name!r} comes back otherwise"


def check_every_precision_works(case: BackendCase) -> None:
    """
    Weights in float16, bfloat16 and float64 keep their dtype and bits, and can be pruned.

    On failure: treat 16-bit floats as integers of their width where the framework or NumPy
    lacks them; bfloat16 arrays are `ml_dtypes.bfloat16`.
    """
    for dtype in drawing.DTYPES:
        arrays = {name: array.astype(dtype) for name, array in plain_arrays().items()}
        opened = case.subject.make().open(maker(case)(arrays))
        for name, array in arrays.items():
            read = opened.read(name)
            assert read.dtype == dtype, f"{dtype} weights are read as {read.dtype}"
            assert read.tobytes() == array.tobytes(), f"{dtype} weights of {name!r} change when read"
        masks = half_masks(opened)
        opened.keeper(masks).apply()
        for name, mask in masks.items():
            expected = np.where(mask, arrays[name], np.zeros((), dtype))
            assert np.array_equal(opened.read(name), expected), f"{dtype} weights of {name!r} pruned wrongly"


def check_masks_are_those_of_numpy(case: BackendCase) -> None:
    """
    The same numbers get the same zeros as on the NumPy backend, ties included.

    On failure: compare `read` and `host` with the arrays that were put in; hand scores over in
    C order of ``(out, in, *kernel)``.
    """
    draw = np.random.default_rng(5)
    arrays = {name: (draw.integers(-24, 25, shape) / 8).astype(np.float32) for name, shape in SHAPES.items()}
    model = maker(case)(arrays)
    opened = case.subject.make().open(model)
    rankings = scorer(opened, Absolute()).rankings()
    for sparsity in (0.1, 0.5, 0.9):
        found = choose_masks(rankings, sparsity).masks
        expected = choose_masks(
            {name: Ranking(name=name, scores=each, magnitude=True) for name, each in arrays.items()}, sparsity
        ).masks
        opened.write(arrays)
        opened.keeper(found).apply()
        for name, mask in found.items():
            assert np.array_equal(mask, expected[name]), f"{sparsity}: {name!r} gets another mask"
            zeroed = np.where(mask, arrays[name], 0)
            assert np.array_equal(opened.read(name), zeroed), f"{sparsity}: {name!r} is zeroed elsewhere"


CHECKS: tuple[Check, ...] = (
    check_models_can_be_made,
    check_it_handles_its_own_models_only,
    check_layers_are_named_and_shaped,
    check_the_view_is_read_only,
    check_missing_data_is_an_error,
    check_ops_agree_with_numpy,
    check_reading_and_writing_are_exact,
    check_native_arrays_fit_the_parameters,
    check_every_precision_works,
    check_masks_are_those_of_numpy,
)
