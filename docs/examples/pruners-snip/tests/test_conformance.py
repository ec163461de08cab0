from pruners_conformance import Example, pruner_checks

GRADIENTS = {"a": [[0.5, 0.1], [-1.0, 2.0]], "b": [[4.0, 0.0]]}
PRODUCTS = Example(
    {"a": [[2.0, -5.0], [3.0, 0.1]], "b": [[0.2, 9.0]]},
    0.5,
    {"a": [[1, 0], [1, 0]], "b": [[1, 0]]},
    scope="model",
    gradients=GRADIENTS,
)  # 1 .5 3 .2, .8 0


@pruner_checks("snip", examples=[PRODUCTS])
def test_snip(check):
    check()
