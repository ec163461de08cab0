"""What every schedule promises, kept by ``constant`` under both of its names."""

from pruners_conformance import scheduler_checks


@scheduler_checks("constant", examples={0: 0.9, 1: 0.9, 10**6: 0.9}, final_sparsity=0.9)
def test_constant(check):
    check()


@scheduler_checks(
    "one-shot", examples={0: 0.1, 99: 0.1, 100: 0.9}, initial_sparsity=0.1, final_sparsity=0.9, at=100
)
def test_one_shot(check):
    check()
