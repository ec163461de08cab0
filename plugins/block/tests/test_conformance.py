"""What every pattern promises, kept by ``block``."""

from pruners_conformance import Example, pattern_checks

# The means of the columns are 2, 3 and 2; of the two equal ones the first goes.
COLUMNS = Example({"w": [[1, 5, 2], [3, 1, 2]]}, 0.4, {"w": [[0, 1, 1], [0, 1, 1]]})
# Blocks of four rows: the means are 2.5 and 1, the last over the two rows that are there.
RAGGED = Example({"w": [[1], [2], [3], [4], [1], [1]]}, 0.5, {"w": [[1], [1], [1], [1], [0], [0]]})
# The means are 3.5 and 2.75, the root mean squares 3.54 and 3.89, the largest 4 and 5.5.
UNEVEN = {"w": [[3, 4, 0, 5.5]]}
SUM = "a block's score is not the sum of its weights'"


@pattern_checks("block", examples=[COLUMNS, RAGGED])
def test_block(check):
    check()


@pattern_checks("block", examples=[Example(UNEVEN, 0.5, {"w": [[1, 1, 0, 0]]})], shape=(1, 2))
def test_block_along_the_inputs(check):
    check()


@pattern_checks(
    "block",
    examples=[Example(UNEVEN, 0.5, {"w": [[0, 0, 1, 1]]})],
    expected_failures={"check_the_larger_scores_are_kept": SUM},
    shape=(1, 2),
    pool="l2",
)
def test_block_by_root_mean_square(check):
    check()


@pattern_checks(
    "block",
    examples=[Example(UNEVEN, 0.5, {"w": [[0, 0, 1, 1]]})],
    expected_failures={"check_the_larger_scores_are_kept": SUM},
    shape=(1, 2),
    pool="max",
)
def test_block_by_its_largest(check):
    check()
