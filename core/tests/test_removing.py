"""What a removal is asked for is checked before anything else."""

from __future__ import annotations

import numpy as np
import pytest

import pruners


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": "all"}, "heads is 'all'; choose from auto, width, heads"),
        ({"form": "onnx"}, "form is 'onnx'; choose from module, graph"),
        ({"measure": -1}, "measure is -1; give a number of rounds"),
        ({"measure": "often"}, "measure is 'often'; give a number of rounds"),
        ({"tolerance": -1e-3}, "tolerance is -0.001; give a number of at least 0"),
        ({"tolerance": float("nan")}, "tolerance is nan; give a number of at least 0"),
        ({"tolerance": "small"}, "tolerance is 'small'; give a number of at least 0"),
    ],
)
def test_options_that_cannot_be_meant_are_named(options, message):
    with pytest.raises(pruners.OptionError, match=message):
        pruners.remove({"w": np.ones((2, 2))}, sparsity=0.5, example_inputs=np.ones((1, 2)), **options)
