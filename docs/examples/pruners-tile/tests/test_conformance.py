from pruners_conformance import Example, pattern_checks

SCORES = {"w": [[1, -1, 5], [1, 2, 1], [0, 3, 2]]}  # tiles of two: 5 and 6; at the edge 3 and 2
MASKS = {"w": [[0, 0, 1], [0, 0, 1], [0, 0, 0]]}


@pattern_checks("tile", examples=[Example(SCORES, 0.75, MASKS)], size=2)
def test_tile(check):
    check()
