from pruners_conformance import Example, pruner_checks

W, G = {"w": [[1.0, -2.0], [3.0, 0.1]]}, {"w": [[0.5, 0.1], [-1.0, 2.0]]}
MASK = {"w": [[1, 0], [1, 0]]}  # weight times gradient is 0.5 and 0.2, 3 and 0.2


@pruner_checks("snip", examples=[Example(W, 0.5, MASK, gradients=G)])
def test_snip(check):
    check()
