"""What is found out about a server that is away, and how seldom it is asked."""

import asyncio
import ipaddress
from collections.abc import Coroutine
from typing import Any, cast

from helper.diagnose.certificate import DAY
from helper.engine.link import Link
from helper.engine.local_network import LocalNetwork
from helper.engine.server_watch import GRACE, SIGN_IN_SEEN, Asks, ServerWatch
from helper.netmon.snapshot import DefaultRoute, Snapshot
from helper.recorder import Recorder
from protocol.errors import CertificateUntrusted, CoveyError
from protocol.join_link import ServerLocation

NOW = 1_800_000_000.0  # seconds since 1970
HOTEL = Snapshot(frozenset(), (DefaultRoute("wlan0", ipaddress.ip_address("10.0.0.1"), 600),))
CAFE = Snapshot(frozenset(), (DefaultRoute("wlan0", ipaddress.ip_address("10.9.0.1"), 600),))
NOWHERE = Snapshot(frozenset(), ())


class Bench:
    """A watch whose clock and network are ours to set, and what it asked."""

    def __init__(self, *, portal: bool = False, clock: float | None = None, ends: float | None = None) -> None:
        self.asked: list[str] = []
        self.has_portal, self.clock, self.ends = portal, clock, ends
        self.link = Link("management", Recorder())
        self.snapshot: Snapshot | None = HOTEL
        self._tasks: list[asyncio.Task[None]] = []
        asks = Asks(self._portal, self._clock, self._certificate)
        self.let_out = 0
        server = ServerLocation(("203.0.113.9",), 443)
        self.watch = ServerWatch(server, self.link, cast(LocalNetwork, self), self._let_out, asks)
        self.now = self.watch._began
        self.watch._loop = cast(asyncio.AbstractEventLoop, self)

    def time(self) -> float:
        return self.now

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        self._tasks.append(asyncio.create_task(work))
        return self._tasks[-1]

    async def after(self, seconds: float) -> list[str]:
        """Look after so long; what was asked then."""
        self.now += seconds
        self.asked.clear()
        self.watch.look(NOW)
        await asyncio.gather(*self._tasks)
        return list(self.asked)

    def set(self, is_up: bool, error: CoveyError | None = None) -> None:
        self.link.set(is_up, self.now, error)

    def _let_out(self) -> None:
        self.let_out += 1

    async def _portal(self, _: ServerLocation) -> bool:
        self.asked.append("portal")
        return self.has_portal

    async def _clock(self, _: ServerLocation) -> float | None:
        self.asked.append("clock")
        return self.clock

    async def _certificate(self, _: ServerLocation) -> float | None:
        self.asked.append("certificate")
        return self.ends


async def test_a_networks_sign_in_is_looked_for_once_an_outage_and_network_and_over_with_it() -> None:
    bench = Bench(portal=True)
    bench.set(False)
    assert await bench.after(1.0) == []
    assert await bench.after(GRACE) == ["portal"]
    assert bench.watch.has_portal
    assert await bench.after(1.0) == []
    assert await bench.after(SIGN_IN_SEEN[0]) == ["portal"], "somebody may have signed in"

    bench.snapshot, bench.has_portal = CAFE, False
    assert await bench.after(10.0) == ["portal"]
    assert not bench.watch.has_portal
    assert await bench.after(10 * SIGN_IN_SEEN[1]) == []
    assert bench.let_out == 0, "the network is another one: that is told by itself"

    bench.snapshot = NOWHERE
    assert await bench.after(10.0) == []
    bench.snapshot, bench.has_portal = HOTEL, True
    assert await bench.after(10.0) == ["portal"]
    bench.set(True)
    await bench.after(1.0)
    assert not bench.watch.has_portal


async def test_once_somebody_signed_in_to_the_network_everything_is_tried_at_once() -> None:
    bench = Bench(portal=True)
    bench.set(False)
    await bench.after(GRACE + 1.0)
    for _ in range(100):
        assert await bench.after(SIGN_IN_SEEN[0] + 0.1) == ["portal"]
    assert await bench.after(3600.0) == ["portal"]
    assert await bench.after(SIGN_IN_SEEN[1] / 2) == [], "nobody seems to sit there"
    assert bench.let_out == 0
    bench.has_portal = False
    assert await bench.after(SIGN_IN_SEEN[1]) == ["portal"]
    assert bench.let_out == 1
    assert not bench.watch.has_portal

    bench.has_portal = True  # it was only slow to answer
    assert await bench.after(SIGN_IN_SEEN[1]) == ["portal"]
    assert bench.watch.has_portal
    bench.has_portal = False
    await bench.after(SIGN_IN_SEEN[1])
    assert bench.let_out == 2


async def test_the_clock_is_compared_where_the_certificate_is_not_taken() -> None:
    bench = Bench(clock=-11_550.0)
    bench.set(False, CertificateUntrusted("it becomes valid tomorrow"))
    assert await bench.after(GRACE + 1.0) == ["portal", "clock"]
    assert bench.watch.clock_ahead == -11_550.0
    bench.set(True)
    await bench.after(1.0)
    assert bench.watch.clock_ahead is None


async def test_a_certificate_that_ends_soon_is_looked_at_more_often_until_it_is_renewed() -> None:
    bench = Bench(ends=NOW + 5 * DAY)
    bench.set(True)
    assert await bench.after(1.0) == []
    assert await bench.after(60.0) == ["certificate"]
    said = bench.watch.ends_soon(NOW)
    assert said is not None
    assert "in 5 days" in said[0]
    bench.ends = NOW + 90 * DAY
    assert await bench.after(3_600.0) == ["certificate"]
    assert bench.watch.ends_soon(NOW) is None
    assert await bench.after(3_600.0) == []
    assert await bench.after(60_000.0) == ["certificate"]
