"""Looks at how things are every few seconds, and raises and clears the warnings that follow."""

import asyncio
import logging
from typing import Protocol

from helper.engine.warning_rules import Circumstances, warnings_of
from helper.warnings import Warnings

log = logging.getLogger(__name__)

PERIOD = 2.0  # seconds
LOOK_EVERY = 5  # periods between looks at what else runs on this machine


class Scene(Protocol):
    async def look_around(self) -> None: ...

    def look_at_server(self) -> None: ...

    def circumstances(self) -> Circumstances: ...


class WarningWatch:
    """Raises and clears the warnings of `warning_rules`; those of others it leaves alone.

    Args:
        scene: tells how things are; looking around may raise OSError.
    """

    def __init__(self, scene: Scene, warnings: Warnings) -> None:
        self._scene, self._warnings = scene, warnings
        self._raised: set[str] = set()

    async def run(self) -> None:
        while True:
            try:
                await self._scene.look_around()
            except OSError as error:
                log.debug("could not look at what else runs on this machine: %s", error)
            for _ in range(LOOK_EVERY):
                self._scene.look_at_server()
                self.update()
                await asyncio.sleep(PERIOD)

    def update(self) -> None:
        """Raise what is new, clear what is over."""
        found = warnings_of(self._scene.circumstances())
        for notice in found:
            self._warnings.raise_(notice.code, notice.sentence, notice.next)
        codes = {notice.code for notice in found}
        for code in self._raised - codes:
            self._warnings.clear(code)
        self._raised = codes
