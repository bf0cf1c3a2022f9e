"""When a helper gets its next TURN credentials."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Renewal:
    """When credentials are sent anew: seconds after the last ones, drawn for each peer and each time.

    Streams that began together, after a restart, so ask for nothing together.
    """

    earliest: float
    latest: float

    def draw(self) -> float:
        return random.uniform(self.earliest, self.latest)
