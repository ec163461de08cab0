from pruners_conformance import Example, pruner_checks

WEIGHTS = {"small": [[1.0, -2.0, 2.0]], "large": [[10.0, 30.0, 20.0]]}
MASKS = {"small": [[0, 1, 1]], "large": [[0, 1, 0]]}  # 1/9, 4/8, 4/4 and 1/14, 9/9, 4/13


@pruner_checks("lamp", examples=[Example(WEIGHTS, 0.5, MASKS, scope="model")])
def test_lamp(check):
    check()
