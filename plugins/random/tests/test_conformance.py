"""What every pruner promises, kept by ``random``."""

from pruners_conformance import Example, pruner_checks

# The draws of seed 3 for a parameter named "w", in units of 2**-24: 1857363, 4920857, 1694233,
# 11010383, 15291496, 13508851, 14150920, 982631. The smallest is the last, then the third.
DRAWN = Example({"w": [[1, 2, 3, 4], [5, 6, 7, 8]]}, 0.25, {"w": [[1, 1, 0, 1], [1, 1, 1, 0]]})
# Whatever the weights are.
OTHERS = Example({"w": [[-1, 0, 0, 0], [0, 0, 0, 9]]}, 0.25, {"w": [[1, 1, 0, 1], [1, 1, 1, 0]]})


@pruner_checks(
    "random",
    examples=[DRAWN, OTHERS],
    expected_failures={
        "check_ties_fall_to_the_lower_index": "scores are drawn: equal weights get different ones"
    },
    seed=3,
)
def test_random(check):
    check()


# The first four of the same draws: the third is the smallest, then the first.
CHANNELS = Example({"w": [[1, 2], [3, 4], [5, 6], [7, 8]]}, 0.5, {"w": [0, 1, 0, 1]})


@pruner_checks(
    "random",
    examples=[CHANNELS],
    expected_failures={
        "check_ties_fall_to_the_lower_index": "scores are drawn: equal channels get different ones",
        "check_the_order_of_channels_does_not_matter": "scores are drawn for positions",
    },
    seed=3,
    unit="channel",
)
def test_random_channels(check):
    check()
