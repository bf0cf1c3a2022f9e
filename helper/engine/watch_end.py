"""Notices that the session of the person who signed in is over, by the wall clock: other clocks stand still during sleep."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from helper.engine.lease import Lease
from helper.engine.link import Link
from protocol.errors import CoveyError, LoginNeeded, LoginRefused

log = logging.getLogger(__name__)

LOOK = 1.0  # seconds between two looks at the clock
PAUSE = 5.0  # seconds until a server that did not answer is asked again


async def watch_end(lease: Lease, link: Link, ask: Callable[[], Awaitable[None]], on_change: Callable[[], None]) -> None:
    """Tell when the end comes and when it has moved; ask a server that seems connected whether it is so.

    Args:
        link: the stream to the management server.
        ask: asks the server to let us in; raises LoginNeeded or LoginRefused, which end this, if it does not.
    """
    shown = False
    while True:
        await asyncio.sleep(LOOK)
        ended = lease.has_ended(time.time(), link.is_up)
        if ended is not shown:
            shown = ended
            on_change()
        if ended and link.is_up:
            try:
                await ask()
            except (LoginNeeded, LoginRefused):
                raise
            except CoveyError as error:
                log.debug("whether the session is over is not known yet: %s", error)
                await asyncio.sleep(PAUSE)
