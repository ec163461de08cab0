"""Time several things in turn, so that whatever else the machine does hits all of them alike."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from ..progress import steps
from .latency import milliseconds

WARM_UP = 2
"""Rounds that are run and not counted."""


def interleaved(runs: Sequence[Callable[[], object]], rounds: int, seed: int = 0) -> list[list[float]]:
    """
    Return the milliseconds of each run in each round.

    In each round everything is run once, in an order drawn anew from `seed`. Right before it is timed
    each is run untimed, so that it finds the caches as it leaves them, as a model that serves does, and
    threads of what ran before have come to rest.
    """
    drawn = random.Random(seed)
    times: list[list[float]] = [[] for _ in runs]
    order = list(range(len(runs)))
    with steps("timing, rounds", WARM_UP + rounds) as done:
        for number in range(WARM_UP + rounds):
            drawn.shuffle(order)
            for each in order:
                runs[each]()
                spent = milliseconds(runs[each])
                if number >= WARM_UP:
                    times[each].append(spent)
            done()
    return times
