"""Waking up for many peers at once."""

import math

from helper.ice.agent import HELD_UP
from helper.peer.rhythm import GRID, SOON, Rhythm

NOW = 1000.0


def test_what_is_due_soon_is_done_in_time_and_what_never_is_never() -> None:
    rhythm = Rhythm(0.1)
    assert rhythm.fit(NOW + 0.05, NOW) == NOW + 0.05
    assert rhythm.fit(NOW - 1, NOW) == NOW - 1
    assert math.isinf(rhythm.fit(math.inf, NOW))


def test_what_is_due_later_is_done_together_never_early_and_not_so_late_that_it_looks_like_a_pause_of_the_machine() -> None:
    rhythm = Rhythm(0.1)
    deadlines = [NOW + SOON + number / 100 for number in range(2000)]
    fits = [rhythm.fit(deadline, NOW) for deadline in deadlines]
    assert all(deadline - 1e-6 <= fit <= deadline + GRID for deadline, fit in zip(deadlines, fits, strict=True))
    assert len({round(fit, 3) for fit in fits}) <= 20 / GRID + 1
    assert GRID < HELD_UP
