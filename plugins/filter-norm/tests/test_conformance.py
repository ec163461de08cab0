"""What every pruner promises, kept by ``filter-norm`` with its usual norms."""

import math

from pruners_conformance import Example, pruner_checks

# L2 norms 5, 1, 2, 10, 0.7071; L1 7, 1, 2, 14, 1; the largest 4, 1, 2, 8, 0.5. Keep 0.6.
WEIGHTS = {"w": [[3, 4], [1, 0], [0, 2], [-6, 8], [0.5, 0.5]]}
TWO = Example(WEIGHTS, 0.4, {"w": [1, 0, 1, 1, 0]})
# By L1 filters 1 and 4 are tied.
TIED = Example(WEIGHTS, 0.2, {"w": [1, 0, 1, 1, 1]})
LAST = Example(WEIGHTS, 0.2, {"w": [1, 1, 1, 1, 0]})
# 0.6 + 0.6 against 0.9: L1 and L2 disagree (0.8485 against 0.9).
BOTH = {"w": [[0.6, 0.6], [0.9, 0.0]]}


@pruner_checks("filter-norm", examples=[TWO, TIED, Example(BOTH, 0.5, {"w": [1, 0]})])
def test_l1(check):
    check()


@pruner_checks("filter-norm", examples=[TWO, LAST, Example(BOTH, 0.5, {"w": [0, 1]})], p=2)
def test_l2(check):
    check()


@pruner_checks("filter-norm", examples=[TWO, LAST], p=math.inf)
def test_largest(check):
    check()


# 13.93, 1, 2, 27.86, 2: filters 2 and 4 are tied.
HALF = Example(WEIGHTS, 0.4, {"w": [1, 0, 0, 1, 1]})


@pruner_checks("filter-norm", examples=[HALF, Example(BOTH, 0.5, {"w": [1, 0]})], p=0.5)
def test_below_one(check):
    check()
