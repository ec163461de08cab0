"""What every schedule promises, kept by ``agp`` in both forms."""

from pruners_conformance import scheduler_checks

CUBIC = {0: 0.0, 1: 0.2168, 2: 0.3904, 3: 0.5256, 5: 0.7, 7: 0.7784, 9: 0.7992, 10: 0.8, 11: 0.8}
NNI = {0: 0.0, 1: 0.2381, 2: 0.4236, 3: 0.5630, 5: 0.7298, 7: 0.7912, 9: 0.8, 10: 0.8}


@scheduler_checks("agp", examples=CUBIC, final_sparsity=0.8, start=0, stop=10, every=1)
def test_agp(check):
    check()


@scheduler_checks("agp", examples=NNI, final_sparsity=0.8, start=0, stop=10, every=1, form="nni")
def test_agp_as_nni_has_it(check):
    check()


# 3 updates of 30 fit between 7 and 107: half the sparsity is left to go at 1 - 0.5**(1/3) of 90.
@scheduler_checks(
    "agp", examples={0: 0.1, 7: 0.1, 37: 0.6630, 67: 0.8704, 97: 0.9}, initial_sparsity=0.1,
    final_sparsity=0.9, start=7, stop=107, every=30,
)  # fmt: skip
def test_agp_whose_interval_does_not_divide_its_span(check):
    check()
