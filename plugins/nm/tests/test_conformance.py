"""What every pattern promises, kept by ``nm``."""

from pruners_conformance import Example, pattern_checks

EXAMPLES = [
    Example({"w": [[1, -3, 2, 0.5]]}, 0.5, {"w": [[0, 1, 1, 0]]}),
    Example({"w": [[0, 0, 1, -1], [1, 1, 1, 1]]}, 0.5, {"w": [[0, 0, 1, 1], [0, 0, 1, 1]]}),
    # floor(0.4 * 4) = 1 of each four; nothing goes beyond 2 of 4
    Example({"w": [[1, -3, 2, 0.5]]}, 0.4, {"w": [[1, 1, 1, 0]]}),
    Example({"w": [[1, -3, 2, 0.5]]}, 0.9, {"w": [[0, 1, 1, 0]]}),
    # a last block of three stands for three weights and a zero that is already pruned
    Example({"w": [[4, 3, 2, 1, 3, 1, 2]]}, 0.5, {"w": [[1, 1, 0, 0, 1, 0, 1]]}),
    # along the input axis, separately at each of two kernel positions
    Example({"w": [[[1, 8], [2, 7], [3, 6], [4, 5]]]}, 0.5, {"w": [[[0, 1], [0, 1], [1, 0], [1, 0]]]}),
]


@pattern_checks("nm", examples=EXAMPLES)
def test_nm(check):
    check()


@pattern_checks(
    "nm", examples=[Example({"w": [range(8)]}, 0.75, {"w": [[0] * 6 + [1] * 2]})], keep=2, block=8
)
def test_two_of_eight(check):
    check()


OUTPUTS = Example({"w": [[1, 5], [2, 6], [3, 7], [4, 8]]}, 0.5, {"w": [[0, 0], [0, 0], [1, 1], [1, 1]]})


@pattern_checks("nm", examples=[OUTPUTS], axis=0)
def test_nm_along_the_outputs(check):
    check()
