"""What every pruner promises, kept by ``taylor`` in all its forms."""

from pruners_conformance import Example, pruner_checks

# Two examples, two channels, two places. Means of z dz: .1 and -.25 of channel 0, .1 and .15 of
# channel 1; their absolute values average .175 and .125, by the L2 norm .8137 and .5812.
Z = [[[1.0, 2.0], [2.0, 0.0]], [[-1.0, 1.0], [1.0, 1.0]]]
SLOPES = [[[0.1, 0.05], [0.1, 0.7]], [[0.2, -0.3], [0.1, 0.2]]]
STREAM = {"w": (Z, SLOPES)}
ACTIVATION = Example({"w": [[1.0], [1.0]]}, 0.5, {"w": [1, 0]}, activations=STREAM)
# Sums of z dz: .2 - .5 = -.3 of channel 0, .2 + .3 = .5 of channel 1; squared .09 and .25.
GATE = Example({"w": [[1.0], [1.0]]}, 0.5, {"w": [0, 1]}, activations=STREAM)
# (.5 - .2)**2 = .09 and (.3 - .2)**2 = .01; as squares .25 + .04 = .29 and .09 + .04 = .13.
WEIGHTS = {"w": [[1.0, 2.0], [3.0, -1.0]]}
GRADIENTS = {"w": [[0.5, -0.1], [0.1, 0.2]]}
JOINT = Example(WEIGHTS, 0.5, {"w": [1, 0]}, gradients=GRADIENTS)
# (.5 - .5)**2 = 0 against (.1 + .1)**2 = .04; as squares .5 against .02.
OPPOSED = {"w": [[0.5, -0.25], [0.1 / 3, -0.1]]}
CANCELLED = Example(WEIGHTS, 0.5, {"w": [0, 1]}, gradients=OPPOSED)
SQUARED = Example(WEIGHTS, 0.5, {"w": [1, 0]}, gradients=OPPOSED)


@pruner_checks("taylor", examples=[ACTIVATION])
def test_activation(check):
    check()


@pruner_checks("taylor", examples=[GATE], form="gate")
def test_gate(check):
    check()


@pruner_checks("taylor", examples=[JOINT, CANCELLED], form="weight-joint")
def test_weight_joint(check):
    check()


@pruner_checks("taylor", examples=[JOINT, SQUARED], form="weight-squares")
def test_weight_squares(check):
    check()


# By L2 norms .447, .894 and .6, .8. One layer has 2 * 2 weights, the other 2 * 6: shares .25 and .75.
PRICES = {"weights": {"a": [[1.0, 1.0]] * 2, "b": [[1.0] * 6] * 2}, "scope": "model"}
PRICES["activations"] = {"a": ([[1.0, 2.0]], [[1.0, 1.0]]), "b": ([[3.0, 4.0]], [[1.0, 1.0]])}
DEAR = Example(sparsity=0.25, masks={"a": [1, 1], "b": [0, 1]}, **PRICES)
FREE = Example(sparsity=0.25, masks={"a": [0, 1], "b": [1, 1]}, **PRICES)


@pruner_checks("taylor", examples=[DEAR], macs=10.0)
def test_with_costs(check):
    check()


@pruner_checks("taylor", examples=[FREE], macs=0.01)
def test_with_a_little_costs(check):
    check()
