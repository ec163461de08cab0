"""For any network and any choice of units, what is left computes what the masked network computes."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .comparing import compare, drawn, structure_of
from .networks import networks

EXAMPLES = 100
QUIET = settings(
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=EXAMPLES,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("heads", ["width", "heads"])
@QUIET
@given(network=networks(), seed=st.integers(0, 99), rescales=st.booleans())
def test_any_choice_of_units_leaves_the_rest_as_it_was(network, seed, heads, rescales):
    structure = structure_of(network, heads=heads, rescales=rescales)
    compare(network, structure, drawn(structure, np.random.default_rng(seed)))
