"""Repairs: how often, what is told of them, and what a firewall that says no means."""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from helper.engine import repair
from helper.engine.repair import OFTEN, SELDOM, WITHIN, Kind, Pace, Repairer
from helper.firewall.firewall import FirewallRefused
from helper.interface.state import InterfaceState, Route, SetRoute, SetUp, Step
from helper.ledger.ledger import Ledger
from helper.recorder import Recorder
from helper.warnings import Warnings
from helper.wireguard.drift import Drift, PeerChanged
from protocol.keys import PrivateKey

ADDRESS = ipaddress.ip_interface("100.92.0.1/16")
BOB = ipaddress.ip_network("100.92.0.2/32")
BOUND = 30.0  # seconds; generous, only reached when something hangs
OVERLAY = {ADDRESS.network: Route(is_ours=False)}


def test_a_fight_is_fought_seldom_and_over_when_the_other_gives_up() -> None:
    pace, now = Pace(), 100.0
    for _ in range(OFTEN):
        assert pace.allows(Kind.STATE, now)
        pace.repaired(Kind.STATE, now)
        now += 0.5
    assert pace.is_fight(Kind.STATE, now)
    assert not pace.allows(Kind.STATE, now)
    assert pace.allows(Kind.MTU, now)
    made = 0
    for step in range(600):  # a minute in which the other one never rests
        if pace.allows(Kind.STATE, now + step / 10):
            pace.repaired(Kind.STATE, now + step / 10)
            made += 1
    assert made <= 60 / SELDOM
    assert pace.allows(Kind.STATE, now + 60 + SELDOM)
    assert not pace.is_fight(Kind.STATE, now + 60 + WITHIN)


class Machine:
    """What the repairer looks at; `changed` lets it look again."""

    def __init__(self) -> None:
        self.state = InterfaceState(True, 1280, frozenset({ADDRESS}), OVERLAY)
        self.taken: list[Step] = []
        self.drifts: list[Drift] = []
        self.corrected: list[Drift] = []
        self.refusal: FirewallRefused | None = None
        self.forwards = True
        self.puts = 0
        self.is_table_there = False
        self.event = asyncio.Event()
        self.happened = asyncio.Event()  # something was done

    # the interface

    async def look(self) -> InterfaceState:
        return self.state

    async def apply(self, steps: Iterable[Step]) -> None:
        self.happened.set()
        for step in steps:
            self.taken.append(step)
            match step:
                case SetUp():
                    self.state = InterfaceState(True, 1280, frozenset({ADDRESS}), OVERLAY)
                case SetRoute(network, mtu):
                    self.state = InterfaceState(True, 1280, frozenset({ADDRESS}), {**self.state.routes, network: Route(mtu)})

    async def changed(self) -> None:
        await self.event.wait()
        self.event.clear()

    # WireGuard

    async def drift(self) -> list[Drift]:
        found, self.drifts = self.drifts, []
        return found

    async def correct(self, drift: Drift) -> None:
        self.corrected.append(drift)
        self.happened.set()

    # the firewall

    async def put(self) -> None:
        self.puts += 1
        self.happened.set()
        if self.refusal is not None:
            raise self.refusal
        self.is_table_there = True

    async def remove(self) -> None:
        self.is_table_there = False

    def is_there(self) -> bool:
        return self.is_table_there

    is_intact = is_there

    def is_needed(self) -> bool:
        return self.forwards


class Bench:
    def __init__(self, machine: Machine, ledger: Ledger, narrower: dict[Any, int]) -> None:
        self.machine, self.ledger, self.narrower = machine, ledger, narrower
        self.recorder = Recorder()
        self.warnings = Warnings(machine.happened.set, self.recorder)
        device: Any = SimpleNamespace(name="cv0", drift=machine.drift, correct=machine.correct)
        self.repairer = Repairer(device, ADDRESS, 1280, lambda: self.narrower, ledger, self.recorder, self.warnings)

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(BOUND):
            while not holds():
                await self.machine.happened.wait()
                self.machine.happened.clear()

    @property
    def notes(self) -> list[str]:
        return [event.sentence for event in self.recorder.events() if event.kind == "repair"]


@asynccontextmanager
async def running(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, prepare: Callable[[Machine], None] = lambda _: None
) -> AsyncIterator[Bench]:
    machine = Machine()
    prepare(machine)

    @asynccontextmanager
    async def open_interface(_name: str) -> AsyncIterator[Machine]:
        yield machine

    monkeypatch.setattr(repair, "LOOK", 0.01)
    monkeypatch.setattr(repair, "CALM", 0.0)
    monkeypatch.setattr(repair, "open_interface", open_interface)
    monkeypatch.setattr(repair, "open_firewall", lambda _name: machine)
    bench = Bench(machine, Ledger(tmp_path / "ledger.json"), {})
    task = asyncio.create_task(bench.repairer.run())
    try:
        yield bench
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert not machine.is_table_there
    assert bench.ledger.entries() == ()


async def test_a_repair_is_noted_and_a_wish_of_ours_is_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with running(monkeypatch, tmp_path) as bench:
        machine = bench.machine
        bench.narrower[BOB] = 1216
        bench.repairer.wake()
        await bench.until(lambda: SetRoute(BOB, 1216, is_new=True) in machine.taken)
        assert bench.notes == []
        machine.state = InterfaceState(True, 1280, frozenset({ADDRESS}), OVERLAY)
        machine.event.set()
        await bench.until(lambda: bench.notes)
        machine.state = InterfaceState(False, 1280, frozenset({ADDRESS}), {})
        machine.event.set()
        machine.drifts = [PeerChanged(PrivateKey.generate().public, is_gone=True)]
        await bench.until(lambda: machine.state.is_up and machine.corrected)
        said = " ".join(bench.notes)
        assert "the route to 100.92.0.2/32" in said
        assert "set cv0 down" in said
        assert "WireGuard peer" in said
        assert bench.warnings.all() == []


async def test_a_fight_is_a_warning_that_names_what_it_is_about(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with running(monkeypatch, tmp_path) as bench:
        machine = bench.machine

        def fought() -> bool:
            machine.state = InterfaceState(False, 1280, frozenset({ADDRESS}), {})
            machine.event.set()
            return bool(bench.warnings.all())

        await bench.until(fought)
        (warning,) = bench.warnings.all()
        assert (warning.code, "the state of cv0" in warning.sentence) == ("undone-state", True)
        assert machine.taken.count(SetUp()) == OFTEN


async def test_a_table_that_was_flushed_is_put_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with running(monkeypatch, tmp_path) as bench:
        await bench.until(lambda: bench.machine.is_table_there)
        assert [change.kind for change in bench.ledger.entries()] == ["nft-table"]
        bench.machine.is_table_there = False
        await bench.until(lambda: bench.machine.is_table_there and bench.notes)
        assert "firewall table" in bench.notes[0]


@pytest.mark.parametrize("forwards", [True, False])
async def test_only_whoever_forwards_is_warned_of_a_refused_table(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, forwards: bool
) -> None:
    def prepare(machine: Machine) -> None:
        machine.refusal, machine.forwards = FirewallRefused("nftables refused our table: Operation not permitted"), forwards

    async with running(monkeypatch, tmp_path, prepare) as bench:
        bench.machine.drifts = [PeerChanged(PrivateKey.generate().public, is_gone=False)]
        await bench.until(lambda: bench.machine.corrected)  # all else is looked after
        assert bench.machine.puts == 1
        sentences = [warning.sentence for warning in bench.warnings.all()]
        assert bool(sentences) is forwards
        assert all("Operation not permitted" in sentence for sentence in sentences)
        assert bench.ledger.entries() == ()
