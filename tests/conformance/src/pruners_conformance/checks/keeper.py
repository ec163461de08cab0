"""Promises of what keeps a model's zeros zero."""

from __future__ import annotations

import numpy as np

from ..fingerprint import fingerprint
from ..outcome import Check
from ..specimens import (
    as_bits,
    bits_of,
    changed_names,
    half_masks,
    maker,
    masked,
    models_of,
    odd_arrays,
    parameters_of,
    plain_arrays,
    traits_of,
)
from ..subject import BackendCase


def check_pruned_places_become_positive_zero(case: BackendCase) -> None:
    """
    Whatever stood in a pruned place, NaN and infinity included, it becomes +0.0.

    On failure: select, never multiply: ``where(mask, w, 0)``; w * mask leaves NaN and -0.0.
    """
    for opened, masks in masked(case):
        for name, mask in masks.items():
            found = as_bits(opened.read(name))[~mask]
            assert not found.any(), f"{name!r} has {opened.read(name)[~mask].tolist()} in pruned places"


def check_kept_places_are_left_alone(case: BackendCase) -> None:
    """
    In kept places and in other layers nothing changes, not a bit, and nothing before `apply`.

    On failure: write only where the mask is False; let `keeper` itself write nothing.
    """
    arrays = odd_arrays()
    opened = case.subject.make().open(maker(case)(arrays))
    before = bits_of(opened)
    opened.keeper(half_masks(opened))
    assert not changed_names(before, bits_of(opened)), "making a keeper changed the model"
    for opened, masks in masked(case):
        for name, array in odd_arrays().items():
            mask = masks.get(name, np.ones(array.shape, bool))
            same = np.array_equal(as_bits(opened.read(name))[mask], as_bits(array)[mask])
            assert same, f"{name!r} changed in kept places"


def check_new_masks_replace_old_ones(case: BackendCase) -> None:
    """
    After `update` the new masks hold for the layers given, the old ones for the others.

    On failure: keep one mask per layer, replace it, and apply it at once.
    """
    opened = case.subject.make().open(maker(case)(plain_arrays()))
    masks = half_masks(opened)
    first, *others = masks
    keeper = opened.keeper(masks)
    keeper.apply()
    keeper.update({first: ~masks[first]})
    assert not opened.read(first)[masks[first]].any(), f"update left {first!r} as it was"
    opened.write(plain_arrays())
    keeper.apply()
    assert np.array_equal(opened.read(first) != 0, ~masks[first]), f"apply uses the old mask of {first!r}"
    for name in others:
        assert np.array_equal(opened.read(name) != 0, masks[name]), f"update of {first!r} lost {name!r}"


def check_parameters_stay_the_same_objects(case: BackendCase) -> None:
    """
    Pruning keeps every parameter: the object, its name, dtype, shape and device.

    On failure: write into the parameter's memory; do not replace or rename it.
    """
    for label, model in models_of(case):
        before = dict(parameters_of(case, model))
        traits = {name: traits_of(each) for name, each in before.items()}
        opened = case.subject.make().open(model)
        keeper = opened.keeper(half_masks(opened))
        keeper.apply()
        opened.write({name: opened.read(name).copy() for name in opened.layers})
        keeper.close()
        after = dict(parameters_of(case, model))
        assert list(after) == list(before), f"{label}: names were {list(before)}, now {list(after)}"
        for name, each in after.items():
            assert each is before[name], f"{label}: {name!r} is another object now"
            assert traits_of(each) == traits[name], (
                f"{label}: {name!r} was {traits[name]}, now {traits_of(each)}"
            )


def check_closing_leaves_an_ordinary_model(case: BackendCase) -> None:
    """
    After `close` the model has no hook, attribute or wrapper that it did not have.

    On failure: remember the handle of every hook, and take them all off in `close`.
    """
    for label, model in models_of(case):
        before = fingerprint(model)
        opened = case.subject.make().open(model)
        keeper = opened.keeper(half_masks(opened))
        keeper.apply()
        keeper.update(half_masks(opened))
        keeper.close()
        left = [f"{path}: {now}" for path, now in fingerprint(model).items() if before.get(path) != now]
        assert not left, f"{label}: left behind {left}"
        gone = sorted(set(before) - set(fingerprint(model)))
        assert not gone, f"{label}: took away {gone}"


CHECKS: tuple[Check, ...] = (
    check_pruned_places_become_positive_zero,
    check_kept_places_are_left_alone,
    check_new_masks_replace_old_ones,
    check_parameters_stay_the_same_objects,
    check_closing_leaves_an_ordinary_model,
)
