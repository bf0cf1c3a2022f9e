"""Looks after what lies under the tunnel while a session lives: how large packets may be, and that this machine stays as set."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping

from helper.engine.aside import aside
from helper.engine.path_mtus import PathMtus
from helper.engine.repair import Repairer
from helper.ice.mux import Mux
from helper.ledger.ledger import Ledger
from helper.peer.runner import PeerRunner
from helper.recorder import Recorder
from helper.relay.relay import Relay
from helper.tap.tap import Tap
from helper.warnings import Warnings
from helper.wireguard.device import Device
from protocol.addresses import IPInterface
from protocol.keys import PublicKey

TRAFFIC = 2.0  # seconds between two looks at which paths carry data

log = logging.getLogger(__name__)


class Upkeep:
    """Args:
    mtu: the interface's.
    peers: those of now.
    """

    def __init__(
        self,
        device: Device,
        address: IPInterface,
        mtu: int,
        peers: Mapping[PublicKey, PeerRunner],
        mux: Mux,
        tap: Tap,
        relay: Relay,
        ledger: Ledger,
        recorder: Recorder,
        warnings: Warnings,
    ) -> None:
        self._repairer = Repairer(device, address, mtu, lambda: self.mtus.routes, ledger, recorder, warnings)
        self.mtus = PathMtus(mtu, peers, mux, tap, relay, recorder, self._repairer.wake)
        self._wake = asyncio.Event()

    def look(self) -> None:
        """A peer's path changed, or may have."""
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(aside(self._measure, "path MTUs"), name="path MTUs")
            group.create_task(aside(self._repair, "repairs"), name="repairs")

    async def _measure(self) -> None:
        loop = asyncio.get_running_loop()
        traffic_at = loop.time() + TRAFFIC
        while True:
            self._wake.clear()
            if loop.time() >= traffic_at:
                self.mtus.look_at_traffic()
                traffic_at = loop.time() + TRAFFIC
            deadline = min(self.mtus.look(), traffic_at)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    await self._wake.wait()

    async def _repair(self) -> None:
        try:
            await self._repairer.run()
        except OSError as error:  # the interface has just gone: whoever watches the device ends the session
            log.warning("nobody looks after the interface: %s", error)
