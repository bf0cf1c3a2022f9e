"""What is behind a trouble with the management server: a network that wants people to sign in, a wrong clock, a certificate.

Each is looked at in the background and seldom: the first two once in an outage and network, the last twice a day. Only whether
people have signed in is asked every few seconds at first, so that everything goes on by itself then.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from helper.diagnose import certificate, portal
from helper.diagnose.clock import clock_ahead
from helper.engine.link import Link
from helper.engine.local_network import LocalNetwork
from helper.netmon.snapshot import Snapshot
from protocol.errors import CertificateUntrusted, ClockOff, CoveyError
from protocol.join_link import ServerLocation

log = logging.getLogger(__name__)

GRACE = 8.0  # seconds of an outage until somebody looks
SIGN_IN_SEEN = 3.0, 30.0  # seconds between two looks whether somebody has signed in, first and at last
PATIENCE = 0.01  # of the time since the sign-in was seen first passes until the next look, within these bounds
FIRST_CERTIFICATE = (2.0, 30.0)  # seconds, drawn, so that thousands of helpers do not ask in step
NEXT_CERTIFICATE, NEXT_ENDING = (30_000.0, 60_000.0), (1_800.0, 3_600.0)  # the latter for one that ends soon, or was not seen


async def _is_portal(server: ServerLocation) -> bool:
    return portal.is_portal(await portal.ask_portal(server), server)


@dataclass(frozen=True, slots=True)
class Asks:
    """The looks themselves; each is bounded to seconds."""

    portal: Callable[[ServerLocation], Awaitable[bool]] = _is_portal
    clock: Callable[[ServerLocation], Awaitable[float | None]] = clock_ahead
    certificate: Callable[[ServerLocation], Awaitable[float | None]] = certificate.look


ASKS = Asks()


class ServerWatch:
    """Attributes:
    has_portal: something that wants people to sign in answers in the server's place.
    clock_ahead: of the server's clock, in seconds; None while the clock is not in question.
    certificate_ends: in seconds since 1970; None while it is not known.

    Args:
    let_out: called when the sign-in is no more in the way, be it that the server answers or that nothing does.
    """

    def __init__(
        self, server: ServerLocation, link: Link, network: LocalNetwork, let_out: Callable[[], None], asks: Asks = ASKS
    ) -> None:
        self.has_portal = False
        self.clock_ahead: float | None = None
        self.certificate_ends: float | None = None
        self._server, self._link, self._network, self._let_out, self._asks = server, link, network, let_out, asks
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._looked: tuple[float, Snapshot] | None = None  # the outage and the network that were looked at
        self._portal_since: float | None = None
        self._look_again = self._certificate_due = float("inf")
        self._outage: asyncio.Task[None] | None = None
        self._certificate: asyncio.Task[None] | None = None

    def look(self, wall: float) -> None:
        """Begin what is due. To be called every few seconds; `wall` is in seconds since 1970."""
        now, snapshot = self._loop.time(), self._network.snapshot
        if self._link.is_up:
            self._over(now)
        elif snapshot is None or not snapshot.default_routes:
            self._forget()
        elif now - max(self._link.since, self._began) > GRACE:
            outage = self._link.since, snapshot
            if (outage != self._looked or now >= self._look_again) and not _runs(self._outage):
                if self._looked is None or self._looked[1] != snapshot:
                    self._forget()
                self._looked, self._look_again = outage, float("inf")
                self._outage = self._network.spawn(self._look_at_outage(outage))
        if now >= self._certificate_due and not _runs(self._certificate):
            self._certificate_due = now + random.uniform(*NEXT_ENDING)
            self._certificate = self._network.spawn(self._look_at_certificate(wall))

    def ends_soon(self, wall: float) -> tuple[str, str] | None:
        """What to say of the server's certificate, and what to do; None: nothing."""
        if self.certificate_ends is None:
            return None
        return certificate.ends_soon(self.certificate_ends, wall, is_pinned=self._server.fingerprint is not None)

    def _over(self, now: float) -> None:
        was_away = self._looked is not None
        self._forget()
        if self._server.tls and (self._certificate_due == float("inf") or was_away):
            self._certificate_due = min(self._certificate_due, now + random.uniform(*FIRST_CERTIFICATE))

    def _forget(self) -> None:
        self.has_portal, self.clock_ahead = False, None
        self._looked, self._portal_since, self._look_again = None, None, float("inf")

    async def _look_at_outage(self, outage: tuple[float, Snapshot]) -> None:
        has_portal = await self._asks.portal(self._server)
        in_question = isinstance(self._link.error, ClockOff | CertificateUntrusted)
        ahead = await self._asks.clock(self._server) if in_question and not has_portal else None
        if outage != self._looked:  # it is over, or the network another one
            return
        is_open, now = self.has_portal and not has_portal, self._loop.time()
        self.has_portal, self.clock_ahead = has_portal, ahead
        if has_portal and self._portal_since is None:
            self._portal_since = now
        if self._portal_since is not None:
            at_first, at_last = SIGN_IN_SEEN
            self._look_again = now + min(max(at_first, PATIENCE * (now - self._portal_since)), at_last)
        if is_open:
            log.info("the sign-in of this network is no more in the way")
            self._let_out()

    async def _look_at_certificate(self, wall: float) -> None:
        with contextlib.suppress(CoveyError):  # the stream's own error tells
            self.certificate_ends = await self._asks.certificate(self._server)
            if self.certificate_ends is not None and self.ends_soon(wall) is None:
                self._certificate_due = self._loop.time() + random.uniform(*NEXT_CERTIFICATE)


def _runs(task: asyncio.Task[None] | None) -> bool:
    return task is not None and not task.done()
