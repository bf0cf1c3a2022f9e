"""Keeps what kind of NAT this machine is behind: found out once in each network, a little later, in the background."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Iterable

from helper.diagnose.nat import NatKind, nat_kind
from helper.recorder import Recorder
from protocol.addresses import Address, IPAddress

log = logging.getLogger(__name__)

PAUSE = (0.5, 3.0)  # seconds until it is asked, drawn: paths come first, and thousands of helpers may have lost one network
ASK_AGAIN = 60.0  # seconds, while nothing could be learnt
NO_SERVERS = 5.0  # seconds, while no server is known


class NatWatch:
    """Attributes:
    kind: of the network as it is now; all `unknown` until it is known.
    """

    def __init__(
        self,
        servers: Callable[[], tuple[Address, ...]],
        own: Callable[[], Iterable[IPAddress]],
        recorder: Recorder,
        on_change: Callable[[], None],
    ) -> None:
        self.kind = NatKind()
        self._servers, self._own, self._recorder, self._on_change = servers, own, recorder, on_change
        self._moved = asyncio.Event()

    def network_changed(self) -> None:
        """What was known is void."""
        self._moved.set()
        if self.kind != NatKind():
            self.kind = NatKind()
            self._on_change()

    async def run(self) -> None:
        while True:
            self._moved.clear()
            await asyncio.sleep(random.uniform(*PAUSE))
            servers = self._servers()
            kind = await nat_kind(servers, self._own())
            if not self._moved.is_set() and kind != self.kind:
                self._learnt(kind)
            known = kind.mapping != "unknown" or (bool(servers) and not kind.is_blocked)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if known else ASK_AGAIN if servers else NO_SERVERS):
                    await self._moved.wait()

    def _learnt(self, kind: NatKind) -> None:
        self.kind = kind
        seen = f", seen from outside as {kind.address}" if kind.address else ""
        sentence = "No UDP comes back from any STUN server." if kind.is_blocked else f"The NAT's mapping is {kind.mapping}{seen}."
        log.info("%s", sentence)
        self._recorder.note("network", sentence, mapping=kind.mapping, filtering=kind.filtering, hairpin=kind.hairpin)
        self._on_change()
