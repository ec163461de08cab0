"""The array functions agree with NumPy, on the device of the weights wherever MXNet can."""

from __future__ import annotations

import array_api_compat.numpy as reference
import ml_dtypes
import mxnet
import numpy as np
import pytest
from pruners_mxnet import _ops
from pruners_mxnet._arrays import to_host
from pruners_mxnet._native import NATIVE, from_host
from pruners_mxnet._ops import HOST, OPS, on_host

DRAW = np.random.default_rng(0)
ARRAYS = {
    "matrix": DRAW.normal(size=(3, 4)),
    "kernel": DRAW.normal(size=(4, 3, 2, 2)),
    "ties": DRAW.integers(-2, 3, (5, 40)),
    "odd": np.array([[np.nan, 1.5, -0.0], [2.5, -0.5, 1.0]]),
    "row": DRAW.normal(size=(1, 7)),
    "empty": np.zeros((0, 4)),
    "scalar": np.asarray(1.5),
    "long": DRAW.normal(size=2000),
}
DTYPES = ("float16", "float32", "float64", "bfloat16")


def same(name):
    return lambda xp, x: getattr(xp, name)(x)


def pair(name):
    return lambda xp, x: getattr(xp, name)(x, x * 2 + 1)


def rows(xp, x):
    return xp.reshape(x, (1, -1))


SINGLE = (
    *("abs", "ceil", "cos", "cosh", "exp", "expm1", "floor", "isfinite", "isinf", "isnan", "log"),
    *("log10", "log1p", "log2", "logical_not", "negative", "reciprocal", "round", "sign", "sin"),
    *("sinh", "sqrt", "square", "tan", "tanh", "trunc", "unique_values"),
)
DOUBLE = (
    *("add", "divide", "equal", "greater", "greater_equal", "hypot", "less", "less_equal"),
    *("logical_and", "logical_or", "maximum", "minimum", "multiply", "not_equal", "remainder"),
    *("subtract",),
)
USES = {
    **{name: same(name) for name in SINGLE},
    **{name: pair(name) for name in DOUBLE},
    "remainder by zero": lambda xp, x: xp.remainder(x, xp.zeros_like(x)),
    "pow": lambda xp, x: xp.pow(x, xp.ones_like(x) * 2),
    "where": lambda xp, x: xp.where(x > 0, x, -x),
    "clip": lambda xp, x: xp.clip(x, -0.5, 0.5),
    "clip above": lambda xp, x: xp.clip(x, None, 0.5),
    **{
        f"{name} {options}": lambda xp, x, name=name, options=options: getattr(xp, name)(x, **options)
        for name in ("sum", "prod", "mean", "max", "min", "any", "all", "std", "var")
        for options in ({}, {"axis": 0}, {"axis": -1, "keepdims": True}, {"axis": (0, 1)})
    },
    "std correction": lambda xp, x: xp.std(x, correction=1.0),
    "std odd correction": lambda xp, x: xp.std(x, correction=0.5),
    "var correction": lambda xp, x: xp.var(x, axis=0, correction=1, keepdims=True),
    "sum in float64": lambda xp, x: xp.sum(x, dtype=xp.float64),
    "argmax": lambda xp, x: xp.argmax(x, axis=0, keepdims=True),
    "argmin": lambda xp, x: xp.argmin(x),
    "sort": lambda xp, x: xp.sort(x),
    "sort down": lambda xp, x: xp.sort(x, axis=0, descending=True),
    "argsort": lambda xp, x: xp.argsort(x, stable=True),
    "argsort down": lambda xp, x: xp.argsort(x, axis=0, descending=True, stable=True),
    "searchsorted": lambda xp, x: xp.searchsorted(xp.sort(xp.reshape(x, (-1,))), xp.reshape(x, (-1,))),
    "take": lambda xp, x: xp.take(x, xp.asarray([1, 0, -1]), axis=-1),
    "nonzero": lambda xp, x: xp.nonzero(x)[0],
    "cumulative_sum": lambda xp, x: xp.cumulative_sum(x, axis=0),
    "reshape": lambda xp, x: xp.reshape(x, (-1,)),
    "permute_dims": lambda xp, x: xp.permute_dims(x, tuple(reversed(range(x.ndim)))),
    "expand_dims": lambda xp, x: xp.expand_dims(x, axis=-1),
    "squeeze": lambda xp, x: xp.squeeze(xp.expand_dims(x, axis=0), axis=0),
    "broadcast_to": lambda xp, x: xp.broadcast_to(x, (2, *x.shape)),
    "moveaxis": lambda xp, x: xp.moveaxis(x, 0, -1),
    "concat": lambda xp, x: xp.concat([x, -x], axis=0),
    "stack": lambda xp, x: xp.stack([x, x], axis=-1),
    "flip": lambda xp, x: xp.flip(x, axis=0),
    "flip all": lambda xp, x: xp.flip(x),
    "roll": lambda xp, x: xp.roll(x, 1, axis=0),
    "repeat": lambda xp, x: xp.repeat(x, 2, axis=0),
    "tile": lambda xp, x: xp.tile(x, (2,) * x.ndim),
    "triu": lambda xp, x: xp.triu(x),
    "matmul": lambda xp, x: xp.matmul(rows(xp, x), xp.permute_dims(rows(xp, x), (1, 0))),
    "tensordot": lambda xp, x: xp.tensordot(x, x, axes=x.ndim),
    "zeros_like": same("zeros_like"),
    "ones_like": lambda xp, x: xp.ones_like(x, dtype=xp.float64),
    "full_like": lambda xp, x: xp.full_like(x, 3),
    "asarray": lambda xp, x: xp.asarray(x),
    "astype": lambda xp, x: xp.astype(x, xp.float64),
}


def arrays(dtype):
    for label, array in ARRAYS.items():
        yield label, array.astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("what", USES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_functions_agree_with_numpy(what, dtype):
    use, met = USES[what], 0
    for label, array in arrays(dtype):
        try:
            with np.errstate(all="ignore"):
                # NumPy's own bfloat16 sorts NaN anywhere and takes variances in bfloat16.
                wide = array.astype(np.float32) if dtype == "bfloat16" else array
                expected = np.asarray(use(reference, wide))
        except (TypeError, ValueError, IndexError, AttributeError):
            continue  # NumPy has no answer either
        with mxnet.util.np_shape(True):
            found = to_host(use(OPS, from_host(array)))
        assert found.shape == expected.shape, label
        exact = dtype in ("float32", "float64")
        close = {"rtol": 1e-5, "atol": 1e-6} if exact else {"rtol": 2e-2, "atol": 2e-2}
        if not exact and label == "long" and what.startswith(("prod", "sum", "cumulative", "mean", "matmul")):
            continue  # many roundings in another order
        np.testing.assert_allclose(
            found.astype(np.float64), expected.astype(np.float64), err_msg=label, **close
        )
        met += 1
    assert met, "no array was compared"


def test_every_function_is_used_here():
    assert {what.partition(" ")[0] for what in USES} == {*NATIVE, *HOST}


def native(name):
    """Return what MXNet itself has by this name."""
    known = {"unique_values": "unique", "remainder": "mod", "round": "around"}
    return NATIVE.get(name) or getattr(mxnet.np, known.get(name, name), None)


WRONG = {
    "argsort": lambda f: (
        f(mxnet.np.array([2.0] + [1.0] * 40 + [0.0] * 40)).asnumpy()[:2].tolist() == [41, 42]
    ),
    "logical_and": None,
    "logical_or": None,
    "matmul": lambda f: (
        f(*[mxnet.np.ones((2, 2), dtype="float16")] * 2).asnumpy().tolist() == [[2, 2], [2, 2]]
    ),
    "remainder": lambda f: np.isnan(f(mxnet.np.array([1.0]), mxnet.np.array([0.0])).asnumpy()).all(),
    "round": lambda f: f(mxnet.np.array([1.5], dtype="float16")).asnumpy() == 2,
    "searchsorted": lambda f: "searchsorted" not in mxnet.numpy.fallback.__all__,
    "sort": lambda f: np.isnan(f(mxnet.np.array([np.nan, 1.0])).asnumpy()[1]),
    "tensordot": lambda f: f(*[mxnet.np.ones(2, dtype="float16")] * 2, axes=1).asnumpy() == 2,
    "tile": lambda f: f(mxnet.np.ones((2, 3, 4)), (2, 2, 2)).asnumpy().shape == (4, 6, 8),
    "triu": None,
    "unique_values": lambda f: f(mxnet.np.array([np.nan, 1.0, 2.0])).asnumpy().size == 3,
}
"""For each function that NumPy calculates: what MXNet's own does not fulfil; None where it has none."""


@pytest.mark.parametrize("name", HOST)
def test_only_what_mxnet_lacks_or_gets_wrong_leaves_the_device(name):
    assert HOST[name].reason.startswith("MXNet")
    own, right = native(name), WRONG[name]
    if right is None:
        assert own is None, "MXNet has it: take it off the table"
        return
    with mxnet.util.np_shape(True):
        try:
            fulfilled = bool(right(own))
        except mxnet.MXNetError:
            fulfilled = False
    assert not fulfilled, "MXNet does it right: take it off the table"


@pytest.mark.parametrize("name", sorted({*NATIVE} - {*HOST}))
def test_everything_else_is_the_devices_own(name, monkeypatch):
    array = mxnet.np.ones((3, 4))
    assert not on_host(name, [array])
    monkeypatch.setattr(_ops, "reference", None)  # no NumPy to fall back on
    use = next(use for what, use in USES.items() if what.partition(" ")[0] == name)
    assert use(OPS, array).context == array.context


@pytest.mark.parametrize("name", [name for name, why in HOST.items() if why.only])
def test_a_reason_that_holds_for_some_numbers_only_keeps_the_others_on_the_device(name, monkeypatch):
    monkeypatch.setattr(_ops, "reference", None)
    assert np.isfinite(USES[name](OPS, mxnet.np.ones((3, 4))).asnumpy()).all()


def test_results_come_back_to_where_the_arrays_are():
    array = mxnet.np.ones((3, 4), ctx=mxnet.cpu(1))
    assert OPS.sort(array).context == mxnet.cpu(1)
    assert OPS.sum(array).context == mxnet.cpu(1)
    assert OPS.zeros_like(array).context == mxnet.cpu(1)
    assert OPS.asarray(array, device=mxnet.cpu(0)).context == mxnet.cpu(0)


def test_nothing_can_be_written_to_through_a_function():
    array = mxnet.np.ones((3, 4))
    for name in ("abs", "sum", "exp", "maximum"):
        with pytest.raises(TypeError, match="out"):
            getattr(OPS, name)(array, array, out=array)
    for name in ("asarray", "reshape", "astype"):
        made = {
            "asarray": lambda: OPS.asarray(array, copy=True),
            "reshape": lambda: OPS.reshape(array, (3, 4), copy=True),
            "astype": lambda: OPS.astype(array, OPS.float32),
        }[name]()
        made[:] = 7
        assert (array.asnumpy() == 1).all(), name


def test_dtypes_are_those_of_the_standard():
    array = mxnet.np.ones((2, 2))
    for name in ("float16", "float32", "float64", "int8", "int32", "int64", "uint8", "bool"):
        assert to_host(OPS.astype(array, getattr(OPS, name))).dtype == name
    assert to_host(OPS.astype(array, OPS.bfloat16)).dtype == ml_dtypes.bfloat16
    assert to_host(OPS.asarray([1.0, 2.0], dtype=OPS.bfloat16)).dtype == ml_dtypes.bfloat16


def test_functions_leave_the_users_settings_and_recording_alone():
    array = mxnet.nd.ones((2, 3))
    array.attach_grad()
    with mxnet.autograd.record():
        assert OPS.sum(array.as_np_ndarray()).shape in ((), (1,))
        assert mxnet.autograd.is_recording()
    assert not mxnet.util.is_np_shape()
