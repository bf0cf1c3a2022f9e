"""Runs what the tunnel can do without, so that a fault there costs no tunnel."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

AGAIN = 30.0  # seconds until what failed is begun anew


async def aside(run: Callable[[], Awaitable[None]], what: str) -> None:
    """Run something until cancelled, or until it ends by itself; whatever goes wrong is logged, and it is begun anew."""
    while True:
        try:
            return await run()
        except Exception:
            log.exception("%s failed; it begins anew in %.0f s", what, AGAIN)
            await asyncio.sleep(AGAIN)
