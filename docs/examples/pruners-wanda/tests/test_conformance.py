from pruners_conformance import Example, pruner_checks

X = [[[3.0, 0.0, 1.0]], [[4.0, 1.0, 0.0]]]  # two samples of three features: norms 5, 1 and 1
ROWS = Example(
    {"w": [[1.0, -4.0, 2.0], [9.0, 8.0, 7.0]]},
    0.34,
    {"w": [[1, 1, 0], [1, 1, 0]]},
    scope="output",
    inputs={"w": X},
)  # 5 4 2 and 45 8 7; over the layer 5, 4 and 2 are the smallest


@pruner_checks("wanda", examples=[ROWS])
def test_wanda(check):
    check()
