"""What every schedule promises, kept by ``exponential``."""

from pruners_conformance import scheduler_checks

VALUES = {0: 0.0, 1: 0.1487, 2: 0.2752, 3: 0.3830, 5: 0.5528, 7: 0.6759, 9: 0.7651, 10: 0.8, 11: 0.8}


@scheduler_checks("exponential", examples=VALUES, final_sparsity=0.8, start=0, stop=10, every=1)
def test_exponential(check):
    check()


# Two rounds of 20 % of the rest: 1 - 0.8**2
@scheduler_checks("exponential", examples={1: 0.2, 2: 0.36}, final_sparsity=0.36, stop=2)
def test_exponential_as_lottery_rounds(check):
    check()
