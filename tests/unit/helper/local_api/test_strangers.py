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
SEAT_OF = (
    "# This is private data. Do not parse.\nIS_SEAT0=1\nCAN_MULTI_SESSION=1\nACTIVE=c2\nACTIVE_UID={}\nSESSIONS=c2 c1\nUIDS=7\n"
)


async def as_user(socket_path: Path, method: str, path: str, *more: str, uid: int = NOBODY, gids: str = str(NOBODY)) -> Any:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(STRANGER), str(uid), gids, str(socket_path), method, path, *more, stdout=asyncio.subprocess.PIPE
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(output)


async def post(socket_path: Path, path: str, body: dict[str, object], uid: int = NOBODY) -> Any:
    return await as_user(socket_path, "POST", path, "", json.dumps(body), uid=uid)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch, socket_path: Path) -> Path:
    """logind's note of the first seat; the stranger sits there until it is written anew."""
    note = socket_path.parents[1] / "seat0"
    note.write_text(SEAT_OF.format(NOBODY))
    monkeypatch.setattr(caller, "SEAT", note)
    return note


@pytest.fixture
def accounts(controller: ScriptedController) -> ScriptedController:
    """`work` is the active one and another user's, `own` is the stranger's, `old` nobody's."""
    controller.accounts = [
        {"name": name, "server": "https://vpn.example.org:443", "email": f"{name}@example.org"} for name in ("work", "own", "old")
    ]
    controller.active, controller.owners = "work", {"work": 1000, "own": NOBODY}
    controller.document["email"] = "work@example.org"
    return controller


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a group `covey`, and its database lists no member."""
    monkeypatch.setattr(caller.grp, "getgrnam", lambda name: grp.struct_group((name, "x", COVEY, [])))


CHANGES = [
    "/v1/up", "/v1/down", "/v1/logout", "/v1/sign-in-flow", "/v1/extend-session", "/v1/profiles", "/v1/profiles/use",
    "/v1/preferences",
]  # fmt: skip


@pytest.mark.parametrize("path", CHANGES)
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


# ---- at the screen


async def test_whoever_sits_at_the_screen_may_change_things(
    socket_path: Path, controller: ScriptedController, screen: Path
) -> None:
    assert await post(socket_path, "/v1/up", {"jwt": "a.b.c"}) == [200, {}]
    assert controller.uids == [NOBODY]
    assert (await post(socket_path, "/v1/profiles", {"name": "home"}))[0] == 200
    assert (await as_user(socket_path, "GET", "/v1/status"))[1]["peers"]["details"][0]["publicKey"].startswith("bobKEY")


@pytest.mark.parametrize("note", [SEAT_OF.format(1000), SEAT_OF.format(""), SEAT_OF.format("x"), "", "ACTIVE_UID", "\0" * 99999])
async def test_whoever_sits_there_no_more_may_not(
    socket_path: Path, controller: ScriptedController, screen: Path, note: str
) -> None:
    screen.write_text(note)
    assert (await post(socket_path, "/v1/down", {}))[0] == 403
    screen.unlink()
    assert (await post(socket_path, "/v1/down", {}))[0] == 403
    assert controller.calls == []


async def test_at_the_screen_another_user_s_account_is_disconnected_and_left_but_neither_used_nor_seen(
    socket_path: Path, accounts: ScriptedController, screen: Path
) -> None:
    for path, body in (
        ("/v1/up", {}),
        ("/v1/up", {"jwt": "a.b.c"}),
        ("/v1/logout", {}),
        ("/v1/extend-session", {"jwt": "a.b.c"}),
        ("/v1/profiles/use", {"name": "WORK"}),
        ("/v1/profiles/remove", {"name": "work"}),
    ):
        status, answer = await post(socket_path, path, body)
        assert status in (403, 404), path
        assert "a.b.c" not in str(answer)
    assert accounts.calls == [("use", "WORK")]  # which this controller does not know
    assert (await as_user(socket_path, "GET", "/v1/status"))[1]["email"] == ""

    assert await post(socket_path, "/v1/down", {}) == [200, {}]
    status, answer = await post(socket_path, "/v1/profiles/use", {"name": "own"})
    assert (status, answer["active"]) == (200, "own")
    assert [profile["email"] for profile in answer["profiles"]] == ["", "own@example.org", "old@example.org"]
    assert (await post(socket_path, "/v1/up", {}))[0] == 200


# ---- the one who signed in


async def test_who_signed_in_may_change_things_from_anywhere(socket_path: Path, accounts: ScriptedController) -> None:
    accounts.active = "own"
    assert (await as_user(socket_path, "GET", "/v1/status"))[1]["email"] == "work@example.org"
    for path, body in (("/v1/up", {}), ("/v1/extend-session", {"jwt": "a.b.c"}), ("/v1/down", {}), ("/v1/logout", {})):
        assert (await post(socket_path, path, body))[0] == 200, path


async def test_who_signed_in_elsewhere_takes_nobody_s_tunnel_down(socket_path: Path, accounts: ScriptedController) -> None:
    for path, body in (("/v1/down", {}), ("/v1/profiles/use", {"name": "own"}), ("/v1/profiles/remove", {"name": "old"})):
        assert (await post(socket_path, path, body))[0] == 403, path
    assert (await post(socket_path, "/v1/profiles/remove", {"name": "own"}))[0] == 200
    assert accounts.calls == [("remove", "own")]


async def test_a_stranger_reads_the_accounts_without_e_mail_addresses(socket_path: Path, accounts: ScriptedController) -> None:
    accounts.owners["own"] = 1000
    status, answer = await as_user(socket_path, "GET", "/v1/profiles")
    assert (status, answer["active"]) == (200, "work")
    assert {profile["email"] for profile in answer["profiles"]} == {""}
    assert (await as_user(socket_path, "GET", "/v1/preferences"))[0] == 200


async def test_a_refused_up_does_not_end_the_one_that_is_under_way(socket_path: Path, controller: ScriptedController) -> None:
    controller.hold = asyncio.Event()
    up = asyncio.create_task(as_user(socket_path, "POST", "/v1/up", uid=0, gids="0"))
    await controller.begun.wait()
    assert (await post(socket_path, "/v1/up", {}))[0] == 403
    assert (await post(socket_path, "/v1/down", {}))[0] == 403
    controller.hold.set()
    assert await up == [200, {}]
    assert controller.uids == [None]
