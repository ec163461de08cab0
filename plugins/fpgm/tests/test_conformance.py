"""What every pruner promises, kept by ``fpgm`` with and without its norm stage."""

from pruners_conformance import Example, pruner_checks

# Sums of distances: 10.071, 9.639, 10.067, 19.305. Filter 1 goes, though filter 0 has norm 0.
POINTS = Example({"w": [[0, 0], [1, 0], [0, 2], [5, 5]]}, 0.25, {"w": [1, 0, 1, 1]})
# Sums over 1 to 10: 45, 37, 31, 27, 25, 25, 27, 31, 37, 45.
LINE = {"w": [[float(number)] for number in range(1, 11)]}
FIFTH = Example(LINE, 0.2, {"w": [1, 1, 1, 1, 0, 0, 1, 1, 1, 1]})
MOST = Example(LINE, 0.6, {"w": [1, 1, 0, 0, 0, 0, 0, 0, 1, 1]})
THIRD = Example(LINE, 0.3, {"w": [1, 1, 1, 0, 0, 0, 1, 1, 1, 1]})
# Half go by norm, the first five. Sums over 6 to 10: 10, 7, 6, 7, 10.
STAGES = Example(LINE, 0.7, {"w": [0, 0, 0, 0, 0, 1, 0, 0, 1, 1]})
NORM_ALONE = Example(LINE, 0.2, {"w": [0, 0, 1, 1, 1, 1, 1, 1, 1, 1]})


@pruner_checks("fpgm", examples=[POINTS, FIFTH, MOST, THIRD])
def test_fpgm(check):
    check()


@pruner_checks("fpgm", examples=[STAGES, NORM_ALONE], keep_norm=0.5)
def test_fpgm_with_its_norm_stage(check):
    check()
