"""What other users of this machine may do, played by processes that change their user id."""

import asyncio
import grp
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from helper.local_api import caller
from helper.local_api.permissions import MAX_CONNECTIONS
from tests.unit.helper.local_api.scripted import ScriptedController

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")

STRANGER = Path(__file__).with_name("stranger.py")
NOBODY = 65534
COVEY = 54321  # the number of the group `covey` in these tests


async def as_user(socket_path: Path, method: str, path: str, *more: str, uid: int = NOBODY, gids: str = str(NOBODY)) -> Any:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(STRANGER), str(uid), gids, str(socket_path), method, path, *more, stdout=asyncio.subprocess.PIPE
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(output)


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a group `covey`, and its database lists no member."""
    monkeypatch.setattr(caller.grp, "getgrnam", lambda name: grp.struct_group((name, "x", COVEY, [])))


@pytest.mark.parametrize("path", ["/v1/up", "/v1/down", "/v1/logout"])
async def test_a_stranger_may_change_nothing(socket_path: Path, controller: ScriptedController, path: str) -> None:
    status, answer = await as_user(socket_path, "POST", path)
    assert (status, answer["error"]["code"]) == (403, "no-permission")
    assert "usermod -aG covey" in answer["error"]["hint"]
    assert controller.calls == []


async def test_a_stranger_may_read_a_redacted_status(socket_path: Path, controller: ScriptedController) -> None:
    status, answer = await as_user(socket_path, "GET", "/v1/status")
    assert status == 200
    assert answer["fqdn"] == "alice.covey.internal"
    bob = answer["peers"]["details"][0]
    assert (bob["fqdn"], bob["status"], bob["publicKey"]) == ("bob.covey.internal", "Connected", "")
    assert bob["iceCandidateEndpoint"] == {"local": "", "remote": ""}


async def test_a_member_of_the_group_may_change_things(socket_path: Path, controller: ScriptedController, group: None) -> None:
    assert await as_user(socket_path, "POST", "/v1/down", gids=f"{NOBODY},7,{COVEY}") == [200, {}]
    assert controller.calls == ["down"]


async def test_a_member_of_other_groups_may_not(socket_path: Path, controller: ScriptedController, group: None) -> None:
    assert (await as_user(socket_path, "POST", "/v1/down", gids=f"{NOBODY},7,8"))[0] == 403


async def test_whoever_joined_the_group_since_signing_in_may(
    socket_path: Path, controller: ScriptedController, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caller.grp, "getgrnam", lambda name: grp.struct_group((name, "x", COVEY, ["nobody"])))
    assert await as_user(socket_path, "POST", "/v1/down") == [200, {}]


async def test_a_user_without_a_name_may_not(socket_path: Path, controller: ScriptedController, group: None) -> None:
    assert (await as_user(socket_path, "POST", "/v1/down", uid=4_000_000_000))[0] == 403


async def test_a_stranger_cannot_take_every_connection(socket_path: Path, controller: ScriptedController) -> None:
    assert await as_user(socket_path, "GET", "/v1/version", str(MAX_CONNECTIONS + 40)) == MAX_CONNECTIONS
    assert (await as_user(socket_path, "GET", "/v1/version"))[0] == 200
