"""What every pattern promises, kept by ``bank`` in each of its layouts."""

from pruners_conformance import Example, pattern_checks

# 192 weights at 0.9 leave 19, so each of three banks of 64 keeps 7.
THREE = Example({"w": [[*range(1, 65)] * 3]}, 0.9, {"w": [([0] * 57 + [1] * 7) * 3]})
# 96 inputs at 0.75 leave 24: the full bank gets 64/96 of them, 16, the rest of 32 inputs the other 8.
RAGGED = Example({"w": [range(1, 97)]}, 0.75, {"w": [[0] * 48 + [1] * 16 + [0] * 24 + [1] * 8]})
# 60 of 64 gone
SIXTY = Example({"w": [range(1, 65)] * 2}, 0.9375, {"w": [[0] * 60 + [1] * 4] * 2})


@pattern_checks("bank", examples=[THREE, RAGGED, SIXTY])
def test_bank(check):
    check()


# Eight banks of two share 16 inputs: 0 and 8, 1 and 9, ... Of each pair the larger stays.
PAIRS = Example({"w": [range(1, 17)]}, 0.5, {"w": [[0] * 8 + [1] * 8]})


@pattern_checks("bank", examples=[PAIRS], layout="interleaved", size=2)
def test_interleaved_banks(check):
    check()


# One row of 8 channels at one kernel row of two columns: four runs of two channels, both columns.
RUNS = Example(
    {"w": [[[[channel * 2 + 1, channel * 2 + 2]] for channel in range(8)]]},
    0.5,
    {"w": [[[[channel % 2, channel % 2]] for channel in range(8)]]},
)


@pattern_checks("bank", examples=[RUNS], layout="fpga")
def test_banks_of_the_older_fpga(check):
    check()


# Two banks of four outputs in each of three columns; the lower two of each go.
COLUMN = Example(
    {"w": [[row + 1] * 3 for row in range(8)]}, 0.5, {"w": [[row % 4 // 2] * 3 for row in range(8)]}
)


@pattern_checks("bank", examples=[COLUMN], axis=0, size=4)
def test_banks_along_the_outputs(check):
    check()


@pattern_checks(
    "bank",
    examples=[Example({"w": [[1, 2, 3], [4, 5, 6]]}, 0.5, {"w": [[0, 0, 0], [1, 1, 1]]})],
    expected_failures={
        "check_broken_masks_are_rejected": "without balance any mask is as good as another",
    },
    balance="none",
)
def test_without_balance(check):
    check()
