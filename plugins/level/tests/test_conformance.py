"""What every pruner promises, kept by ``level``."""

from pruners_conformance import Example, pruner_checks

EXAMPLES = [
    Example({"w": [[0.1, -0.5, 0.3], [0.9, -0.2, 0.4]]}, 0.5, {"w": [[0, 1, 0], [1, 0, 1]]}),
    Example({"w": [[1, 1, 1, 2]]}, 0.5, {"w": [[0, 0, 1, 1]]}),
    # 0.29 of 100 is 29, although int(100 * 0.29) is 28 in floating point
    Example({"w": [range(1, 101)]}, 0.29, {"w": [[0] * 29 + [1] * 71]}),
    Example(
        {"a": [[1, 5], [2, 6]], "b": [[3, -0.5]]}, 0.5, {"a": [[0, 1], [0, 1]], "b": [[1, 0]]}, scope="model"
    ),
]


@pruner_checks("level", examples=EXAMPLES)
def test_level(check):
    check()
