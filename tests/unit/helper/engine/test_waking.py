"""What follows when the machine wakes up: everything is found anew, nobody waits out a pause, and it is told afterwards."""

import asyncio
from types import SimpleNamespace

import pytest

from helper.clients.backoff import Backoff, Retry
from helper.engine.engine import Engine
from helper.http_proxy.way import WAY_OUT
from helper.netmon.wakefulness import HeldUp, Woke
from protocol.local_api import UpRequest
from tests.unit.helper.engine.conftest import BOUND, Machine, Server, in_state, token, until


async def test_waking_ends_every_pause() -> None:
    retry = Retry(Backoff(first=3600.0, cap=(3600.0, 7200.0)))
    pausing = asyncio.create_task(retry.pause())
    async with asyncio.timeout(BOUND):
        while not pausing.done():
            retry.hurry()
            await asyncio.sleep(0)


async def test_after_a_sleep_everything_is_found_anew_and_after_a_hold_up_only_proved(
    engine: Engine, machine: Machine, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.tokens.add(token())
    await engine.up(UpRequest(join_link=server.link, jwt=token()))
    session = engine._supervisor.session
    assert session is not None
    assert session.parts is not None
    done: list[str] = []
    relay = session.parts.relay
    monkeypatch.setattr(WAY_OUT, "network_changed", lambda: done.append("proxy anew"))
    monkeypatch.setattr(relay, "network_changed", lambda: done.append("relay anew"))
    monkeypatch.setattr(relay, "check", lambda: done.append("relay proved"))
    monkeypatch.setattr(session.parts.network, "gather_afresh", lambda: done.append("STUN anew"))
    monkeypatch.setattr(session.signalling, "_client", SimpleNamespace(check=lambda _: done.append("signal proved")))
    engine.felt(HeldUp(6.0))
    assert done == ["relay proved", "signal proved"]
    done.clear()
    engine.felt(Woke(8 * 3600.0))
    assert done == ["STUN anew", "proxy anew", "relay anew", "signal proved"]
    told = [event.sentence for event in engine.recorder.events() if event.kind == "sleep"]
    assert told == ["The helper stood still for 6 s.", "The machine woke up after 8 h 0 min of sleep."]


async def test_a_server_that_came_back_during_a_sleep_is_asked_at_once(
    engine: Engine, machine: Machine, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.tokens.add(token())
    await engine.up(UpRequest(join_link=server.link, jwt=token()))
    session = engine._supervisor.session
    assert session is not None
    monkeypatch.setattr(session.management.retry, "backoff", Backoff(first=3600.0, cap=(3600.0, 7200.0)))
    monkeypatch.setattr(session.signalling.retry, "backoff", Backoff(first=3600.0, cap=(3600.0, 7200.0)))
    await server.end()
    await until(engine, in_state("Connecting"))
    await server.begin()
    async with asyncio.timeout(BOUND):
        while engine.status()["daemonStatus"] != "Connected":
            engine.felt(Woke(3600.0))
            await asyncio.sleep(0.05)


async def test_whoever_hurries_while_a_stream_is_in_doubt_dials_again_at_once_and_only_once() -> None:
    retry = Retry(Backoff(first=3600.0, cap=(3600.0, 7200.0)))
    retry.hurry()
    async with asyncio.timeout(BOUND):
        await retry.pause()
    waiting = asyncio.create_task(retry.pause())
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
