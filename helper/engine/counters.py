"""Takes in WireGuard's counters of all peers: each second while data flows, seldom while none does.

Asking WireGuard costs the more the more peers there are. Whether the tunnel carries anything is told by two numbers of the
interface.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping

from helper.interface.traffic import traffic_of
from helper.peer.runner import PeerRunner
from helper.wireguard.device import Device
from protocol.keys import PublicKey

log = logging.getLogger(__name__)

POLL = 1.0  # seconds between looks at the interface, and at the counters while they move
POLL_IDLE = 5.0  # at the counters while nothing moves: what WireGuard does by itself, handshakes and keepalives
POLL_CLOSELY = 0.02  # while a handshake is awaited or a path has just changed
REFRESH = 0.5  # seconds that a status waits for newer counters


class Counters:
    """`peers` are those of now."""

    def __init__(self, device: Device, peers: Mapping[PublicKey, PeerRunner]) -> None:
        self._device, self._peers = device, peers
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Something has changed that WireGuard's counters tell more of."""
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._wake.clear()
            traffic, counted_at = traffic_of(self._device.name), self._loop.time()
            await self.count()
            while not await self._is_due(traffic, counted_at):
                pass

    async def _is_due(self, traffic: tuple[int, int] | None, counted_at: float) -> bool:
        """Wait for a while, and say whether to look at the counters then."""
        closely = any(runner.wants_statistics for runner in self._peers.values())
        try:
            async with asyncio.timeout(POLL_CLOSELY if closely else POLL):
                await self._wake.wait()
        except TimeoutError:
            if not closely and traffic is not None and self._loop.time() - counted_at < POLL_IDLE - POLL / 2:
                return traffic_of(self._device.name) != traffic or any(runner.is_in_doubt for runner in self._peers.values())
        return True

    async def refresh(self) -> None:
        """Take in the counters now, if WireGuard answers within REFRESH."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REFRESH):
                await self.count()

    async def count(self) -> None:
        try:
            statistics, now = await self._device.statistics(), time.time()
            for key, counted in statistics.items():
                if (runner := self._peers.get(key)) is not None:
                    runner.count(counted, now)
                else:  # nobody who left the map stays in WireGuard
                    await self._device.remove_peer(key)
        except OSError as error:
            log.warning("WireGuard did not answer: %s", error)  # whether the interface is lost is watched elsewhere
