"""What every pruner promises, kept by ``sensitivity`` in each of its ways."""

from pruners_conformance import Example, pruner_checks

# The deviation of these is 1.147 (population) and 1.226 (unbiased): q = 0.5 cuts at 0.573 or 0.613.
WEIGHTS = {"w": [[-2, -1, -0.5, -0.1, 0.1, 0.5, 1, 2]]}
HALF = Example(WEIGHTS, 0.5, {"w": [[1, 1, 0, 0, 0, 0, 1, 1]]})
# q = 0.9 cuts at 1.032 (population) and 1.103 (unbiased), both above 1; q = 0.85 at 0.975 and 1.042.
TIGHT = Example(WEIGHTS, 0.85, {"w": [[1, 0, 0, 0, 0, 0, 0, 1]]})
TIGHT_POPULATION = Example(WEIGHTS, 0.85, {"w": [[1, 1, 0, 0, 0, 0, 1, 1]]})


@pruner_checks("sensitivity", examples=[HALF, TIGHT])
def test_sensitivity(check):
    check()


@pruner_checks("sensitivity", examples=[HALF, TIGHT_POPULATION], std="population")
def test_sensitivity_of_the_population(check):
    check()


# floor(8 * 0.3 * 1.2259) = 2 weights go
@pruner_checks("sensitivity", examples=[Example(WEIGHTS, 0.3, {"w": [[1, 1, 1, 0, 0, 1, 1, 1]]})], mode="nni")
def test_sensitivity_as_nni_has_it(check):
    check()


# Both layers hold the same numbers up to a factor, so one q takes the same four of each.
TWICE = Example(
    {"a": WEIGHTS["w"], "b": [[-8, -4, -2, -0.4, 0.4, 2, 4, 8]]},
    0.5,
    {"a": [[1, 1, 0, 0, 0, 0, 1, 1]], "b": [[1, 1, 0, 0, 0, 0, 1, 1]]},
)


@pruner_checks(
    "sensitivity",
    examples=[TWICE],
    expected_failures={
        "check_other_layers_do_not_matter": "one q is looked for that reaches the target over all layers"
    },
    target_sparsity=True,
)
def test_sensitivity_with_a_target(check):
    check()
