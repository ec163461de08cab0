from pruners_conformance import scheduler_checks

# Of the way, half a cosine has gone 1/2 - sqrt(2)/4 after a quarter, and 1/4 after a third.
VALUES = {0: 0.0, 3: 0.1172, 4: 0.2, 6: 0.4, 8: 0.6, 9: 0.6828, 12: 0.8, 13: 0.8}


@scheduler_checks("cosine", examples=VALUES, final_sparsity=0.8, start=0, stop=12, every=1)
def test_cosine(check):
    check()
