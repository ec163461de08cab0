"""What a ranking shows of its scores."""

import ml_dtypes
import numpy as np
import pytest

from pruners import ScoreError
from pruners.selection import Ranking
from pruners.selection.keys import form_of

DTYPES = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("magnitude", [True, False])
def test_keys_are_ordered_as_the_scores(dtype, magnitude):
    values = np.array([0.0, -0.0, 1e-8, -1e-8, 6e-8, 1.0, -1.0, 1.5, -3e4, np.inf, -np.inf]).astype(dtype)
    keys = Ranking("w", values, magnitude).keys()
    exact = values.astype(np.float64)
    exact = np.abs(exact) if magnitude else exact
    for i in range(len(values)):
        assert ((keys < keys[i]) == (exact < exact[i])).all()
        assert ((keys == keys[i]) == (exact == exact[i])).all()
    assert keys.dtype.kind == "u"
    assert keys.min() > 0


def test_keys_of_a_range_are_in_c_order():
    scores = np.random.default_rng(0).standard_normal((6, 5)).T[:, ::-1]
    ranking = Ranking("w", scores, alive=scores > -0.5)
    np.testing.assert_array_equal(ranking.keys(7, 19), ranking.keys()[7:19])
    assert ((ranking.keys() == 0) == ~ranking.alive.ravel()).all()


def test_keys_of_different_types_compare_in_their_common_form():
    a = Ranking("a", np.array([1.0, -2.0], np.float16), magnitude=True)
    b = Ranking("b", np.array([1.5, 1.0], np.float32))
    form = form_of([a, b])
    assert form.name == "float32"
    first, second = a.keys(form=form), b.keys(form=form)
    assert first[0] == second[1] < second[0] < first[1]


def test_values():
    scores = np.array([[1.0, -2.0], [4.0, -8.0]], ml_dtypes.bfloat16)
    alive = np.array([[True, True], [False, True]])
    ranking = Ranking("w", scores, True, alive, 2.0)
    assert ranking.values().tolist() == [[0.5, 1.0], [-np.inf, 4.0]]
    assert ranking.values().dtype == np.float32
    assert Ranking("w", np.array([1.0])).values().dtype == np.float64
    assert (ranking.shape, ranking.size, ranking.pruned()) == ((2, 2), 4, 1)


def test_byte_order_does_not_matter():
    scores = np.array([3.0, 1.0, 2.0], ">f4")
    np.testing.assert_array_equal(Ranking("w", scores).keys().argsort(), [1, 2, 0])


def test_values_refuse_nan():
    with pytest.raises(ScoreError, match="'w' is NaN at flat index 3"):
        Ranking("w", np.array([[1.0, 2.0], [3.0, np.nan]])).values()


@pytest.mark.parametrize(
    ("scores", "options", "message"),
    [
        (np.arange(3), {}, "scores of 'w' are int64; give one of float16"),
        (np.array([True]), {}, "scores of 'w' are bool"),
        (np.array([1j]), {}, "scores of 'w' are complex128"),
        (np.ones(3), {"scale": 0.0}, "scale of 'w' is 0.0"),
        (np.ones(3), {"scale": np.inf}, "scale of 'w' is inf"),
        (np.ones(3), {"alive": np.ones(2, bool)}, r"alive of 'w' is bool \(2,\); give bool \(3,\)"),
        (np.ones(3), {"alive": np.ones(3)}, "alive of 'w' is float64"),
    ],
)
def test_what_cannot_be_ranked_is_refused(scores, options, message):
    with pytest.raises(ScoreError, match=message):
        Ranking("w", scores, **options)
