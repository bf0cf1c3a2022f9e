import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from protocol.errors import LoginNeeded, ServerUnreachable, SetupKeyExpired, TimedOut
from protocol.local_api import UpRequest
from tests.unit.helper.local_api.scripted import ScriptedController, status_document

Answer = tuple[int, dict[str, Any]]


@pytest.fixture
async def session(socket_path: Path, controller: ScriptedController) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession("http://helper", connector=aiohttp.UnixConnector(str(socket_path))) as opened:
        yield opened


async def ask(session: aiohttp.ClientSession, method: str, path: str, data: bytes = b"") -> Answer:
    async with session.request(method, path, data=data) as response:
        return response.status, json.loads(await response.read())


async def test_up_hands_the_request_on_and_answers_when_it_is_up(
    session: aiohttp.ClientSession, controller: ScriptedController
) -> None:
    assert await ask(session, "POST", "/v1/up", b'{"hostname": "alice", "timeout": 5}') == (200, {})
    assert controller.calls == [UpRequest(hostname="alice", timeout=5)]


async def test_an_up_without_body_uses_what_the_helper_knows(
    session: aiohttp.ClientSession, controller: ScriptedController
) -> None:
    assert await ask(session, "POST", "/v1/up") == (200, {})
    assert controller.calls == [UpRequest()]


async def test_status_and_version_are_told(session: aiohttp.ClientSession, controller: ScriptedController) -> None:
    assert await ask(session, "GET", "/v1/status") == (200, controller.document)
    status, answer = await ask(session, "GET", "/v1/version")
    assert status == 200
    assert answer["version"]


async def test_down_and_logout_are_done(session: aiohttp.ClientSession, controller: ScriptedController) -> None:
    assert await ask(session, "POST", "/v1/down") == (200, {})
    assert await ask(session, "POST", "/v1/logout") == (200, {})
    assert controller.calls == ["down", "logout"]


@pytest.mark.parametrize("winner", ["down", "logout"])
async def test_down_and_logout_win_over_an_up_that_is_under_way(
    session: aiohttp.ClientSession, controller: ScriptedController, winner: str
) -> None:
    controller.hold = asyncio.Event()
    going_up = asyncio.create_task(ask(session, "POST", "/v1/up"))
    await controller.begun.wait()

    assert await ask(session, "POST", f"/v1/{winner}") == (200, {})

    status, answer = await going_up
    assert (status, answer["error"]["code"]) == (409, "given-up")
    assert controller.calls == [UpRequest(), "given up", winner]


async def test_an_up_goes_on_when_whoever_asked_for_it_is_killed_and_down_still_wins(
    session: aiohttp.ClientSession, controller: ScriptedController
) -> None:
    for ends in (lambda: ask(session, "POST", "/v1/up"), lambda: ask(session, "POST", "/v1/down")):
        controller.calls.clear()
        controller.begun.clear()
        controller.hold = asyncio.Event()
        killed = asyncio.create_task(ask(session, "POST", "/v1/up"))
        await controller.begun.wait()
        killed.cancel()  # its connection breaks
        await asyncio.wait([killed])
        assert (await ask(session, "GET", "/v1/status"))[0] == 200
        assert controller.calls == [UpRequest()]
        ending = asyncio.create_task(ends())
        async with asyncio.timeout(30):
            while len(controller.calls) == 1:
                await asyncio.sleep(0)
        controller.hold.set()
        assert await ending == (200, {})
        assert controller.calls[1] == "given up"


async def test_the_newest_of_two_ups_wins(session: aiohttp.ClientSession, controller: ScriptedController) -> None:
    controller.hold = asyncio.Event()
    first = asyncio.create_task(ask(session, "POST", "/v1/up", b'{"hostname": "first"}'))
    await controller.begun.wait()
    controller.begun.clear()
    second = asyncio.create_task(ask(session, "POST", "/v1/up", b'{"hostname": "second"}'))
    await controller.begun.wait()
    controller.hold.set()

    assert (await first)[1]["error"]["code"] == "given-up"
    assert await second == (200, {})
    assert controller.calls == [UpRequest(hostname="first"), "given up", UpRequest(hostname="second")]


async def test_an_up_that_takes_too_long_is_answered_and_goes_on(
    session: aiohttp.ClientSession, controller: ScriptedController, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("helper.local_api.tunnel.GRACE", 0.01)
    controller.hold = asyncio.Event()
    status, answer = await ask(session, "POST", "/v1/up", b'{"timeout": 0.01}')
    assert (status, answer["error"]["code"]) == (504, "timed-out")
    assert "given up" not in controller.calls


@pytest.mark.parametrize(("call", "bound"), [("down", "DOWN_TIMEOUT"), ("logout", "LOGOUT_TIMEOUT")])
async def test_every_change_is_bounded_in_time(
    session: aiohttp.ClientSession, controller: ScriptedController, monkeypatch: pytest.MonkeyPatch, call: str, bound: str
) -> None:
    monkeypatch.setattr(f"helper.local_api.tunnel.{bound}", 0.01)
    monkeypatch.setattr(controller, call, asyncio.Event().wait)
    status, answer = await ask(session, "POST", f"/v1/{call}")
    assert (status, answer["error"]["code"]) == (504, "timed-out")


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (LoginNeeded("This machine has not joined a network yet."), 401),
        (SetupKeyExpired("The setup key has expired."), 401),
        (TimedOut("Not connected within 5 s."), 504),
        (ServerUnreachable("The server does not answer."), 500),
    ],
)
async def test_the_controllers_errors_come_whole(
    session: aiohttp.ClientSession, controller: ScriptedController, failure: Any, status: int
) -> None:
    controller.failure = failure
    error = {"code": failure.code, "sentence": str(failure), "hint": failure.hint}
    assert await ask(session, "POST", "/v1/up") == (status, {"error": error})


@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/up"), ("POST", "/v1/down"), ("GET", "/v1/status")])
async def test_the_unexpected_is_logged_once_and_told_without_details(
    session: aiohttp.ClientSession, controller: ScriptedController, caplog: pytest.LogCaptureFixture, method: str, path: str
) -> None:
    controller.failure = ZeroDivisionError("a detail")
    status, answer = await ask(session, method, path)
    assert (status, answer["error"]["code"]) == (500, "internal")
    assert "detail" not in str(answer)
    assert len([record for record in caplog.records if record.exc_info]) == 1


@pytest.mark.parametrize(
    ("method", "path", "data", "status", "words"),
    [
        ("POST", "/v1/up", b"{", 400, "not JSON"),
        ("POST", "/v1/up", b"\xff\xfe\x00", 400, "not JSON"),
        ("POST", "/v1/up", b"[" * 60_000, 400, "not JSON"),
        ("POST", "/v1/up", b"[]", 400, "not a JSON object"),
        ("POST", "/v1/up", b'{"timeout": "soon"}', 400, "field timeout"),
        ("POST", "/v1/up", b" " * 65_537, 413, "larger than 64 KiB"),
        ("GET", "/v1/up", b"", 405, "asked with POST"),
        ("DELETE", "/v1/status", b"", 405, "asked with GET"),
        ("GET", "/", b"", 404, "no such path"),
        ("GET", "/v1/events", b"", 400, "not one that the local API understands"),
        ("GET", "/v1/events?every=often", b"", 400, "field every"),
        ("GET", "/v1/events?every=nan", b"", 400, "field every"),
    ],
)
async def test_bad_requests_get_a_sentence(
    session: aiohttp.ClientSession,
    controller: ScriptedController,
    caplog: pytest.LogCaptureFixture,
    method: str,
    path: str,
    data: bytes,
    status: int,
    words: str,
) -> None:
    got, answer = await ask(session, method, path, data)
    assert got == status
    assert answer["error"]["code"] == "usage"
    assert words in answer["error"]["sentence"]
    assert answer["error"]["hint"]
    assert not controller.calls
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_damaged_body_gets_a_sentence(session: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture) -> None:
    async with session.post("/v1/up", data=b"no deflate", headers={"Content-Encoding": "deflate"}) as response:
        assert response.status == 400
        assert (await response.json())["error"]["sentence"]
    assert not [record for record in caplog.records if record.exc_info]


async def test_watchers_get_the_status_at_once_and_at_every_change(
    session: aiohttp.ClientSession, controller: ScriptedController
) -> None:
    async with session.ws_connect("/v1/events") as first, session.ws_connect("/v1/events") as second:
        for watcher in (first, second):
            assert await watcher.receive_json(timeout=10) == controller.document
        controller.show(status_document(state="Connecting"))
        for watcher in (first, second):
            assert (await watcher.receive_json(timeout=10))["daemonStatus"] == "Connecting"


async def test_changes_that_come_fast_are_told_together(session: aiohttp.ClientSession, controller: ScriptedController) -> None:
    async with session.ws_connect("/v1/events") as watcher:
        await watcher.receive_json(timeout=10)
        for port in range(1, 101):
            controller.show({**controller.document, "wireguardPort": port})
            await asyncio.sleep(0)
        assert (await watcher.receive_json(timeout=10))["wireguardPort"] == 100


async def test_counters_that_move_silently_are_told_to_whoever_asks(
    session: aiohttp.ClientSession, controller: ScriptedController
) -> None:
    async with session.ws_connect("/v1/events?every=0.2") as watcher:
        await watcher.receive_json(timeout=10)
        controller.document = {**controller.document, "wireguardPort": 7}
        assert (await watcher.receive_json(timeout=10))["wireguardPort"] == 7


async def test_a_watcher_that_leaves_is_forgotten(session: aiohttp.ClientSession, controller: ScriptedController) -> None:
    async with session.ws_connect("/v1/events") as watcher:
        await watcher.receive_json(timeout=10)
        assert len(controller.watchers) == 1
    async with asyncio.timeout(10):
        while controller.watchers:
            await asyncio.sleep(0.005)


async def test_a_status_that_fails_ends_the_events_and_is_logged(
    session: aiohttp.ClientSession, controller: ScriptedController, caplog: pytest.LogCaptureFixture
) -> None:
    async with session.ws_connect("/v1/events") as watcher:
        await watcher.receive_json(timeout=10)
        controller.failure = ZeroDivisionError("a detail")
        controller.show(controller.document)
        message = await watcher.receive(timeout=10)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.INTERNAL_ERROR)
    assert len([record for record in caplog.records if record.exc_info]) == 1
