from pruners_conformance import Example, pruner_checks


@pruner_checks(
    "smallest",
    examples=[Example({"w": [[3.0, -1.0], [0.5, -2.0]]}, 0.5, {"w": [[1, 0], [0, 1]]})],
)
def test_smallest(check):
    check()
