"""What every pruner promises, kept by ``bn-scale``."""

from pruners_conformance import Example, pruner_checks

# floor(.5 * 7) = 3 of both layers together: .02, .05 and .1.
FIRST, SECOND = [0.9, -0.05, 0.4], [0.3, 0.02, -0.6, 0.1]
TOGETHER = Example(
    {"a": [[1.0]] * 3, "b": [[1.0]] * 4},
    0.5,
    {"a": [1, 0, 1], "b": [1, 0, 1, 0]},
    scope="model",
    scales={"a": FIRST, "b": SECOND},
)
APART = Example(
    {"a": [[1.0]] * 3, "b": [[1.0]] * 4},
    0.5,
    {"a": [1, 0, 1], "b": [1, 0, 1, 0]},
    scales={"a": FIRST, "b": SECOND},
)


@pruner_checks("bn-scale", examples=[TOGETHER, APART])
def test_bn_scale(check):
    check()
