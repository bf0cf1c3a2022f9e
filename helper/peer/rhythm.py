"""When a helper wakes up for what is not urgent: for many peers at once. Pure."""

import math
import random

SOON = 2.0  # seconds; what is due earlier is done in time
GRID = 0.5  # seconds between two wake-ups; less than what counts as being held up (ice.agent)


class Rhythm:
    """`phase`: seconds; machines that were started at the same moment should not all send at the same moment."""

    def __init__(self, phase: float | None = None) -> None:
        self._phase = random.uniform(0, GRID) if phase is None else phase

    def fit(self, deadline: float, now: float) -> float:
        """When to wake up for this deadline: at it, or up to GRID seconds later."""
        if deadline - now < SOON or math.isinf(deadline):
            return deadline
        return math.ceil((deadline - self._phase) / GRID) * GRID + self._phase
