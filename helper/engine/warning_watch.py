"""Looks at how things are every few seconds, and raises and clears the warnings that follow."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from helper.engine.warning_rules import Circumstances, warnings_of
from helper.netmon.others import Others
from helper.warnings import Warnings

log = logging.getLogger(__name__)

PERIOD = 2.0  # seconds
LOOK_EVERY = 5  # periods between looks at what else runs on this machine


class WarningWatch:
    """Raises and clears the warnings of `warning_rules`; those of others it leaves alone.

    Args:
        circumstances: how things are now, given what else runs on this machine.
        look: looks at that; may raise OSError.

    Attributes:
        others: what else runs on this machine, as last seen.
    """

    def __init__(
        self, circumstances: Callable[[Others], Circumstances], look: Callable[[], Awaitable[Others]], warnings: Warnings
    ) -> None:
        self.others = Others()
        self._circumstances, self._look, self._warnings = circumstances, look, warnings
        self._raised: set[str] = set()

    async def run(self) -> None:
        while True:
            try:
                self.others = await self._look()
            except OSError as error:
                log.debug("could not look at what else runs on this machine: %s", error)
            for _ in range(LOOK_EVERY):
                self.update()
                await asyncio.sleep(PERIOD)

    def update(self) -> None:
        """Raise what is new, clear what is over."""
        found = warnings_of(self._circumstances(self.others))
        for notice in found:
            self._warnings.raise_(notice.code, notice.sentence, notice.next)
        codes = {notice.code for notice in found}
        for code in self._raised - codes:
            self._warnings.clear(code)
        self._raised = codes
