"""What every schedule promises, kept by ``paddle`` in both variants and by ``paddle-static``."""

from pruners_conformance import scheduler_checks

CODE = {0: 0.2232, 1: 0.3537, 2: 0.4463, 3: 0.5181, 5: 0.6265, 7: 0.7074, 9: 0.7720, 10: 0.8, 11: 0.8}
FIGURE = {0: 0.0, 1: 0.2313, 2: 0.3665, 3: 0.4625, 5: 0.5978, 7: 0.6938, 9: 0.7682, 10: 0.8, 11: 0.8}
DEFAULTS = {0: 0.1682, 3: 0.2666, 6: 0.3364, 30: 0.6029, 57: 0.7387, 60: 0.75}


@scheduler_checks("paddle", examples=CODE, final_sparsity=0.8, interval=1, end=10)
def test_paddle(check):
    check()


@scheduler_checks("paddle", examples=FIGURE, final_sparsity=0.8, interval=1, end=10, variant="figure")
def test_paddle_as_drawn(check):
    check()


@scheduler_checks("paddle", examples=DEFAULTS, final_sparsity=0.75)
def test_paddle_with_its_own_defaults(check):
    check()


@scheduler_checks(
    "paddle", examples={0: 0.3230, 1: 0.5120, 2: 0.6460, 3: 0.75}, final_sparsity=0.75, interval=1, end=3
)
def test_paddle_of_three_passes(check):
    check()


@scheduler_checks("paddle-static", examples={0: 0.6, 1: 0.6, 10**6: 0.6}, final_sparsity=0.6)
def test_paddle_static(check):
    check()
