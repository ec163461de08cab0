from pruners_conformance import Example, pruner_checks

W, X = {"w": [[1.0, -4.0, 2.0], [9.0, 8.0, 7.0]]}, {"w": [[[3.0, 0.0, 1.0]], [[4.0, 1.0, 0.0]]]}
MASK = {"w": [[1, 1, 0], [1, 1, 0]]}  # norms 5, 1 and 1, so 5, 4, 2 and 45, 8, 7


@pruner_checks("wanda", examples=[Example(W, 0.34, MASK, scope="output", inputs=X)])
def test_wanda(check):
    check()
