"""What every schedule promises, kept by ``moffett``."""

from pruners_conformance import scheduler_checks

STAIRS = {
    0: 0.0, 10: 0.0, 19: 0.0, 20: 0.3094, 30: 0.5420, 40: 0.7086, 50: 0.8203, 60: 0.8881, 70: 0.9229,
    80: 0.9357, 90: 0.9375, 91: 0.9375,
}  # fmt: skip


@scheduler_checks("moffett", examples=STAIRS, final_sparsity=0.9375, pretrain=10, sparse=80, every=10)
def test_moffett(check):
    check()


@scheduler_checks("moffett", examples={0: 0.0, 5: 0.0, 6: 0.9}, final_sparsity=0.9, pretrain=5)
def test_moffett_at_once(check):
    check()


# 25 steps hold two treads of 10: the end is there at the second, step 20.
@scheduler_checks("moffett", examples={10: 0.7, 20: 0.8, 25: 0.8}, final_sparsity=0.8, sparse=25, every=10)
def test_moffett_whose_interval_does_not_divide_its_span(check):
    check()
