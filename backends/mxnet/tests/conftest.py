"""One thread, and the user's settings of MXNet as they were after every test."""

from __future__ import annotations

import mxnet
import pytest


@pytest.fixture(autouse=True)
def settings():
    """Draw the same numbers in every test, and notice a test that leaves the semantics of shapes changed."""
    mxnet.random.seed(0)
    yield
    mxnet.nd.waitall()
    left = mxnet.util.is_np_shape(), mxnet.util.is_np_array()
    mxnet.npx.reset_np()
    assert left == (False, False)


@pytest.fixture
def numpy_semantics():
    """Turn on MXNet's NumPy semantics for one test."""
    mxnet.npx.set_np()
    yield
    mxnet.npx.reset_np()
