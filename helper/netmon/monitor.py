"""Says when the network looks different: addresses, default routes. Events wake it up, a look decides."""

import asyncio
import logging
import socket
from collections.abc import Callable

from helper.netmon.events import Event, NetworkEvents
from helper.netmon.linux import is_ignored, take_snapshot
from helper.netmon.snapshot import Snapshot

DEBOUNCE = 0.05  # seconds; a change comes as several events
POLL = 30.0  # seconds between two looks without an event

log = logging.getLogger(__name__)


async def watch(exclude: frozenset[str], on_change: Callable[[Snapshot], None], *, known: Snapshot | None = None) -> None:
    """Call `on_change` with each snapshot that differs from the one before, until cancelled.

    The first look is compared with `known`, so that nothing is lost between the caller's own look and this one; without it the
    first look counts as a difference. `exclude`: see `take_snapshot`.
    """
    last, noise = known, Noise(exclude)
    with NetworkEvents() as events:
        while True:
            try:
                snapshot = await take_snapshot(exclude)
            except Exception as error:  # netlink's errors are of many kinds, and the next look may well succeed
                log.warning("could not look at the network: %s", error)
            else:
                noise.looked_at(snapshot)
                if snapshot != last:
                    last = snapshot
                    on_change(snapshot)
            await _wait_for_news(events, noise)


async def _wait_for_news(events: NetworkEvents, noise: "Noise") -> None:
    """Wait for an event that may matter and for those that follow it at once, or for POLL seconds."""
    try:
        async with asyncio.timeout(POLL):
            while noise.covers(await events.next()):
                pass
    except TimeoutError:
        return
    await asyncio.sleep(DEBOUNCE)
    for event in events.take_all():
        noise.covers(event)  # learns names; the look to come answers all of them


class Noise:
    """Tells events that cannot change the snapshot: those at interfaces that it leaves out."""

    def __init__(self, exclude: frozenset[str]) -> None:
        self._exclude = exclude
        self._relevant: frozenset[str] = frozenset()
        self._names: dict[int, str] = {}

    def looked_at(self, snapshot: Snapshot) -> None:
        """Events at an interface that the snapshot shows matter, whatever its name."""
        interfaces = {address.interface for address in snapshot.addresses}
        self._relevant = frozenset(interfaces | {route.interface for route in snapshot.default_routes})

    def covers(self, event: Event) -> bool:
        """Say whether an event is noise, and remember the interface's name for those that come when it is gone."""
        name = event.name or self._names.get(event.index) or _name(event.index)
        if event.is_gone:
            self._names.pop(event.index, None)
        elif name is not None:
            self._names[event.index] = name
        if name is None or event.has_gateway:
            return False
        return is_ignored(name, None, self._exclude, self._relevant)


def _name(index: int) -> str | None:
    try:
        return socket.if_indextoname(index)
    except OSError:
        return None
