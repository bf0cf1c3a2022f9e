"""The flight recorder over the local API: in pages, as it happens, and to whom."""

import json
import os
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from protocol.journal import PAGE
from tests.unit.helper.local_api.scripted import ScriptedController
from tests.unit.helper.local_api.test_strangers import NOBODY, as_user


async def ask(socket_path: Path, path: str) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession("http://helper", connector=aiohttp.UnixConnector(str(socket_path))) as session,
        session.get(path) as response,
    ):
        return response.status, json.loads(await response.read())


async def test_events_come_in_pages_and_each_once(socket_path: Path, controller: ScriptedController) -> None:
    for number in range(PAGE + 2):
        controller.recorder.note("path", f"number {number}", peer="bob", roundTrip=1.5)
    _, first = await ask(socket_path, "/v1/journal")
    _, second = await ask(socket_path, f"/v1/journal?after={first['events'][-1]['sequence']}")
    assert (len(first["events"]), first["more"], len(second["events"]), second["more"]) == (PAGE, True, 2, False)
    assert second["events"][-1] | {"time": ""} == {
        "sequence": PAGE + 2, "time": "", "kind": "path", "peer": "bob", "sentence": f"number {PAGE + 1}",
        "details": {"roundTrip": 1.5}
    }  # fmt: skip


@pytest.mark.parametrize("after", ["", "-1", "1e3", "9" * 30, "x"])
async def test_what_is_no_number_is_refused(socket_path: Path, controller: ScriptedController, after: str) -> None:
    status, answer = await ask(socket_path, f"/v1/journal?after={after}")
    assert (status, answer["error"]["code"]) == (400, "usage")


async def test_a_follower_hears_what_happens_and_what_happens_again(socket_path: Path, controller: ScriptedController) -> None:
    controller.recorder.note("server", "before")
    async with (
        aiohttp.ClientSession("http://helper", connector=aiohttp.UnixConnector(str(socket_path))) as session,
        session.ws_connect("/v1/journal/follow?after=0") as stream,
    ):
        first = await stream.receive_json()
        controller.recorder.note("server", "before")
        again = await stream.receive_json()
        controller.recorder.note("server", "after")
        second = await stream.receive_json()
    assert (first["sentence"], "count" in first) == ("before", False)
    assert (again["sequence"], again["count"]) == (first["sequence"], 2)
    assert second["sentence"] == "after"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
async def test_a_stranger_learns_what_concerns_the_machine_and_his_own_accounts(
    socket_path: Path, controller: ScriptedController
) -> None:
    owner: int | None = 1000
    controller.recorder._owner = lambda: owner
    controller.recorder.note("network", "The network changed.")
    controller.recorder.note("path", "bob is reached directly.", peer="bob")
    owner = NOBODY
    controller.recorder.note("path", "carol is reached directly.", peer="carol")
    status, page = await as_user(socket_path, "GET", "/v1/journal")
    assert status == 200
    assert [event["sentence"] for event in page["events"]] == ["The network changed.", "carol is reached directly."]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
async def test_names_in_a_report_are_for_the_administrator_only(socket_path: Path, controller: ScriptedController) -> None:
    status, answer = await as_user(socket_path, "POST", "/v1/debug/bundle", "", "{}")
    assert (status, answer["error"]["code"]) == (403, "no-permission")  # the account is nobody's of his
    controller.owners = {"default": NOBODY}
    status, answer = await as_user(socket_path, "POST", "/v1/debug/bundle", "", '{"include_names": true}')
    assert (status, answer["error"]["code"]) == (403, "no-permission")
    status, answer = await as_user(socket_path, "POST", "/v1/debug/bundle", "", '{"names": true}')
    assert (status, answer["error"]["code"]) == (400, "usage")
    assert controller.calls == []


async def test_a_report_is_a_file(socket_path: Path, controller: ScriptedController) -> None:
    async with (
        aiohttp.ClientSession("http://helper", connector=aiohttp.UnixConnector(str(socket_path))) as session,
        session.post("/v1/debug/bundle", json={"include_names": True}) as response,
    ):
        assert (response.status, response.content_type, await response.read()) == (200, "application/zip", b"PK a report")
