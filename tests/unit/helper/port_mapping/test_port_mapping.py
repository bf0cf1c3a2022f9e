"""A mapping's whole life: asked for, kept, taken back, whatever happens in between."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from helper.ledger.ledger import Ledger
from helper.ledger.undo import undo_all
from helper.netmon.snapshot import DefaultRoute, LocalAddress, Snapshot
from helper.port_mapping import asking
from helper.port_mapping.operations import METHODS, Method
from helper.port_mapping.port_mapping import PortMapping
from helper.port_mapping.record import KIND, MappingRecord
from helper.recorder import Recorder
from protocol.addresses import Address, IPAddress
from tests.unit.helper.port_mapping.fake_router import GATEWAY, LOOPBACK, OUTER, FakeRouter

PORT = 51820
PATIENCE = 30.0  # seconds
NETWORK = Snapshot(frozenset({LocalAddress("lo", LOOPBACK, 8)}), (DefaultRoute("lo", LOOPBACK, 0),))
NOWHERE = Snapshot(frozenset(), ())


class Rig:
    """A port mapping on this machine's loopback. `offered`: what peers are told."""

    def __init__(self, path: Path, *, enabled: bool = True) -> None:
        self.ledger, self.recorder = Ledger(path), Recorder()
        self.offered: Address | None = None
        self._news = asyncio.Event()
        self.mapping = PortMapping(PORT, self.ledger, self.recorder, self._set, self._news.set, enabled=enabled)

    def _set(self, base: IPAddress, mapped: Address | None) -> None:
        assert base == LOOPBACK
        self.offered = mapped

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.mapping.network_changed(NETWORK)
        task = asyncio.create_task(self.mapping.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until(self, what: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not what():
                self._news.clear()
                await self._news.wait()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.json"


@pytest.mark.parametrize("method", METHODS)
async def test_it_is_listed_before_it_is_asked_for_and_gone_after_down(router: FakeRouter, path: Path, method: Method) -> None:
    router.speaks = {method}
    listed: list[int] = []
    router.on_request = lambda: listed.append(len(Ledger(path).entries()))
    rig = Rig(path)
    async with rig.running():
        await rig.until(lambda: rig.offered)
        assert rig.offered == Address(OUTER, PORT)
        assert rig.mapping.status() == {"protocol": method, "external": str(rig.offered), "gateway": str(LOOPBACK), "error": ""}
    assert listed == [1]
    assert router.mapped
    await rig.mapping.close()
    assert not router.mapped
    assert rig.ledger.entries() == ()
    assert [event.kind for event in rig.recorder.events()] == ["mapping"]


@pytest.mark.parametrize("method", METHODS)
async def test_what_a_crash_left_is_taken_back_at_the_next_start(router: FakeRouter, path: Path, method: Method) -> None:
    router.speaks, router.shift = {method}, 0 if method == "upnp" else 5
    rig = Rig(path)
    async with rig.running():
        await rig.until(lambda: rig.offered)
    assert router.mapped
    assert len(await undo_all(Ledger(path))) == 1
    assert not router.mapped
    assert Ledger(path).entries() == ()


async def test_a_router_without_leases_is_left_clean_too(router: FakeRouter, path: Path) -> None:
    router.speaks, router.only_permanent = {"upnp"}, True
    rig = Rig(path)
    async with rig.running():
        await rig.until(lambda: rig.offered)
    assert router.leases == [0]
    await rig.mapping.close()
    assert not router.mapped


async def test_a_router_that_restarted_is_asked_again(router: FakeRouter, path: Path) -> None:
    rig = Rig(path)
    async with rig.running():
        await rig.until(lambda: rig.offered)
        router.restart()
        asked = asyncio.Event()
        router.on_request = asked.set
        rig.mapping.look()
        async with asyncio.timeout(PATIENCE):
            await asked.wait()
    assert router.mapped == {("pcp", PORT): PORT}


async def test_a_cable_that_is_pulled_and_plugged_in_finds_its_mapping_again(router: FakeRouter, path: Path) -> None:
    rig = Rig(path)
    async with rig.running():
        await rig.until(lambda: rig.offered)
        rig.mapping.network_changed(NOWHERE)
        await rig.until(lambda: not rig.offered)
        assert rig.mapping.status() is None
        rig.mapping.network_changed(NETWORK)  # the router gives the port only to who knows the nonce
        await rig.until(lambda: rig.offered)
    assert router.mapped == {("pcp", PORT): PORT}
    assert len(rig.ledger.entries()) == 1


async def test_nothing_is_asked_where_it_is_not_wanted(router: FakeRouter, path: Path) -> None:
    rig = Rig(path, enabled=False)
    async with rig.running():
        await asyncio.sleep(0)
        assert rig.mapping.status() is None
    assert rig.ledger.entries() == ()


async def test_a_silent_router_costs_an_entry_only_until_the_lease_is_over(
    router: FakeRouter, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "TRIES", (0.01, 0.02))
    router.speaks = set()
    now = int(time.time())
    record = MappingRecord("pcp", GATEWAY, PORT, PORT, bytes(12), None, ends=now + 1000)
    ledger = Ledger(path)
    ledger.record(KIND, **record.details())
    ledger.record(KIND, **replace(record, port=PORT + 1, ends=now - 1).details())
    assert await undo_all(ledger) == []
    (left,) = ledger.entries()
    assert MappingRecord.read(left.details) == record


async def test_a_router_that_talks_nonsense_costs_the_mapping_and_nothing_else(router: FakeRouter, path: Path) -> None:
    router.speaks, router.page = {"upnp"}, b"<a>"
    rig = Rig(path)
    async with rig.running():
        await rig.until(lambda: (rig.mapping.status() or {}).get("error"))
        assert rig.offered is None
