"""What every schedule promises, kept by ``linear``."""

from pruners_conformance import scheduler_checks

VALUES = {0: 0.0, 1: 0.08, 2: 0.16, 3: 0.24, 5: 0.4, 7: 0.56, 9: 0.72, 10: 0.8, 11: 0.8}


@scheduler_checks("linear", examples=VALUES, final_sparsity=0.8, start=0, stop=10, every=1)
def test_linear(check):
    check()


@scheduler_checks(
    "linear", examples={3: 0.2, 5: 0.2, 10: 0.4, 15: 0.6, 16: 0.6}, initial_sparsity=0.2,
    final_sparsity=0.6, start=5, stop=15, every=4,
)  # fmt: skip
def test_linear_whose_interval_does_not_divide_its_span(check):
    check()
