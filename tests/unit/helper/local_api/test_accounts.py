"""The routes that sign people in, and those for accounts and preferences."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helper.local_api.bodies import name_of, place_of, token_of
from helper.preferences import DEFAULTS, changed
from protocol.errors import LoginNeeded, ProfileExists, ProfileInUse, SignInNotOffered, UsageError, UserBlocked
from protocol.local_api import UpRequest
from protocol.sign_in import MAX_TOKEN
from tests.unit.helper.local_api.scripted import FLOW, ScriptedController

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ["jwt", "name", "management_url", "join_link", "setup_key", "hostname", "timeout", "mtu", "wireguard_port", "other"]
BODIES = JSON | st.dictionaries(st.sampled_from(FIELDS), JSON | st.just(TOKEN), max_size=3)

Answer = tuple[int, Any]


@pytest.fixture
async def session(socket_path: Path, controller: ScriptedController) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession("http://helper", connector=aiohttp.UnixConnector(str(socket_path))) as opened:
        yield opened


async def post(session: aiohttp.ClientSession, path: str, body: Any) -> Answer:
    async with session.post(path, data=json.dumps(body)) as response:
        return response.status, json.loads(await response.read())


async def test_the_flow_is_told_as_the_app_reads_it(session: aiohttp.ClientSession, controller: ScriptedController) -> None:
    for body in ({}, {"management_url": "https://vpn.example.org"}, {"join_link": str(FLOW.to_json()["server"])}):
        assert await post(session, "/v1/sign-in-flow", body) == (200, FLOW.to_json())
        assert controller.calls.pop() == ("sign-in-flow", UpRequest(**body))


async def test_extending_a_session_says_until_when(session: aiohttp.ClientSession, controller: ScriptedController) -> None:
    assert await post(session, "/v1/extend-session", {"jwt": TOKEN}) == (200, {"sessionExpiresAt": "2026-05-05T03:02:01Z"})
    assert controller.calls == [("extend-session", TOKEN)]


@pytest.mark.parametrize(
    ("path", "failure", "status"),
    [
        ("/v1/sign-in-flow", LoginNeeded("this machine has not joined a network yet"), 401),
        ("/v1/sign-in-flow", SignInNotOffered("the server lets nobody sign in"), 401),
        ("/v1/extend-session", UserBlocked("alice@example.org is blocked"), 401),
        ("/v1/profiles", ProfileExists("There is an account 'x' already."), 409),
        ("/v1/profiles/remove", ProfileInUse("The account 'x' is the active one."), 409),
    ],
)
async def test_errors_come_whole(
    session: aiohttp.ClientSession, controller: ScriptedController, path: str, failure: Any, status: int
) -> None:
    controller.failure = failure
    body = {"jwt": TOKEN} if path == "/v1/extend-session" else {"name": "x"} if "profiles" in path else {}
    error = {"code": failure.code, "sentence": str(failure), "hint": failure.hint}
    assert await post(session, path, body) == (status, {"error": error})


@pytest.mark.parametrize(
    ("path", "method", "goes_on"),
    [("/v1/sign-in-flow", "sign_in_flow", False), ("/v1/extend-session", "extend_session", True)],
)
async def test_signing_in_is_answered_in_time(
    session: aiohttp.ClientSession,
    controller: ScriptedController,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    method: str,
    goes_on: bool,
) -> None:
    ended = asyncio.Event()

    async def silent(_: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    monkeypatch.setattr("helper.local_api.tunnel.SIGN_IN_TIMEOUT", 0.01)
    monkeypatch.setattr(controller, method, silent)
    status, answer = await post(session, path, {"jwt": TOKEN} if goes_on else {})
    assert (status, answer["error"]["code"]) == (504, "timed-out")
    if not goes_on:
        await ended.wait()
    assert ended.is_set() is not goes_on


async def test_accounts_are_added_changed_and_removed(session: aiohttp.ClientSession, controller: ScriptedController) -> None:
    status, answer = await post(session, "/v1/profiles", {"name": "work <b>é\U0001f9a6"})
    assert (status, answer["profiles"][1]["name"]) == (200, "work <b>é\U0001f9a6")
    assert (await post(session, "/v1/profiles/use", {"name": "work <b>é\U0001f9a6"}))[1]["active"] == "work <b>é\U0001f9a6"
    assert len((await post(session, "/v1/profiles/remove", {"name": "default"}))[1]["profiles"]) == 1
    status, answer = await post(session, "/v1/profiles/use", {"name": "nowhere"})
    assert (status, answer["error"]["code"]) == (404, "profile-unknown")


async def test_changing_the_account_ends_an_up_that_is_under_way(
    session: aiohttp.ClientSession, controller: ScriptedController
) -> None:
    controller.hold = asyncio.Event()
    going_up = asyncio.create_task(post(session, "/v1/up", {}))
    await controller.begun.wait()
    assert (await post(session, "/v1/profiles/use", {"name": "default"}))[0] == 200
    assert (await going_up)[1]["error"]["code"] == "given-up"


async def test_preferences_are_told_and_changed(session: aiohttp.ClientSession, controller: ScriptedController) -> None:
    async with session.get("/v1/preferences") as response:
        assert await response.json() == controller.preferred
    assert (await post(session, "/v1/preferences", {"mtu": 1420}))[1]["mtu"] == 1420


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/v1/sign-in-flow", {"jwt": TOKEN}, "does not belong here: jwt"),
        ("/v1/sign-in-flow", {"management_url": "https://a", "join_link": "covey://b"}, "not both"),
        ("/v1/sign-in-flow", [], "not a JSON object"),
        ("/v1/extend-session", {}, "lacks the field jwt"),
        ("/v1/extend-session", {"jwt": ""}, "field jwt"),
        ("/v1/extend-session", {"jwt": "x" * (MAX_TOKEN + 1)}, "field jwt"),
        ("/v1/extend-session", {"jwt": TOKEN, "hostname": "a"}, "does not belong here: hostname"),
        ("/v1/profiles", {}, "field name"),
        ("/v1/profiles", {"name": 7}, "field name"),
        ("/v1/profiles/use", {"name": "a", "more": 1}, "field name"),
        ("/v1/profiles/remove", {"name": "x" * 5000}, "field name"),
    ],
)
async def test_bad_requests_get_a_sentence(
    session: aiohttp.ClientSession, controller: ScriptedController, path: str, body: Any, words: str
) -> None:
    status, answer = await post(session, path, body)
    assert (status, answer["error"]["code"]) == (400, "usage")
    assert words in answer["error"]["sentence"]
    assert not controller.calls


async def test_a_token_is_in_no_answer_and_no_log(
    session: aiohttp.ClientSession, controller: ScriptedController, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        for failure in (None, UserBlocked("alice@example.org is blocked"), ZeroDivisionError("a detail")):
            controller.failure = failure
            for path in ("/v1/up", "/v1/extend-session", "/v1/sign-in-flow", "/v1/profiles", "/v1/preferences"):
                for body in ({"jwt": TOKEN}, {"jwt": TOKEN + "\n"}, {"jwt": TOKEN, TOKEN: 1}, [TOKEN]):
                    assert TOKEN not in str(await post(session, path, body))
    assert TOKEN not in caplog.text


@given(BODIES)
def test_any_body_is_read_or_a_usage_error(body: Any) -> None:
    for read in (place_of, token_of, name_of, lambda data: changed(DEFAULTS, data), UpRequest.from_json):
        with contextlib.suppress(UsageError):
            read(body)
