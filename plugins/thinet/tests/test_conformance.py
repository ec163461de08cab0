"""What every pruner promises, kept by ``thinet``."""

from pruners_conformance import Example, pruner_checks

# The columns have energies 5, 5, 11 and .51: channel 3 goes first. With it the others would leave
# 6.91, 6.51 and 10.11: then channel 1.
X = [[1, 2, -1, 0.5], [0, 1, 1, -0.5], [2, 0, 3, 0.1]]
READ = {"w": ([[[1.0]] * 4], [[[value] for value in row] for row in X])}
ONE = Example({"w": [[1.0]] * 4}, 0.25, {"w": [1, 1, 1, 0]}, consumers=READ)
TWO = Example({"w": [[1.0]] * 4}, 0.5, {"w": [1, 0, 1, 0]}, consumers=READ)


@pruner_checks("thinet", examples=[ONE, TWO])
def test_thinet(check):
    check()
