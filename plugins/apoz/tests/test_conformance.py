"""What every pruner promises, kept by ``apoz`` and its variant."""

from pruners_conformance import Example, pruner_checks

# Two examples, two channels, four places: 5 of 8 and 1 of 8 are zero, APoZ .625 and .125. By the
# mean it is the other way round: 9 / 8 and 7 / 8.
AFTER_RELU = [
    [[[0.0, 3.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]]],
    [[[0.0, 2.0], [4.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]]],
]
OFTEN = Example({"w": [[1.0], [1.0]]}, 0.5, {"w": [0, 1]}, activated={"w": AFTER_RELU})
STRONG = Example({"w": [[1.0], [1.0]]}, 0.5, {"w": [1, 0]}, activated={"w": AFTER_RELU})
# Above 1 are three of channel 0 and none of channel 1.
ABOVE = Example({"w": [[1.0], [1.0]]}, 0.5, {"w": [1, 0]}, activated={"w": AFTER_RELU})


@pruner_checks("apoz", examples=[OFTEN])
def test_apoz(check):
    check()


@pruner_checks("apoz", examples=[STRONG], measure="mean-activation")
def test_mean_activation(check):
    check()


@pruner_checks("apoz", examples=[ABOVE], threshold=1.0)
def test_threshold(check):
    check()
