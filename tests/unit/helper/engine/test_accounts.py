"""Changing accounts and preferences under a tunnel."""

import asyncio
import pathlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from helper.engine.engine import Engine
from protocol.errors import NotSaved, PortTaken, ProfileInUse, ProfileUnknown, SessionExpired, UsageError
from protocol.local_api import UpRequest
from tests.unit.helper.engine.conftest import Machine, Server, in_state, started, token, until

ALICE, BOB = 1000, 1001


@pytest.fixture
async def other() -> AsyncIterator[Server]:
    found = Server()
    await found.begin()
    yield found
    await found.end()


async def sign_in(engine: Engine, server: Server, uid: int, email: str = "alice@example.org") -> None:
    jwt = token(len(server.logins), email=email)
    server.tokens.add(jwt)
    await engine.up(UpRequest(join_link=server.link, jwt=jwt), uid)


@pytest.fixture
async def two(engine: Engine, server: Server, other: Server) -> Engine:
    """Alice's account at one server, and Bob's, which is the active one, at another."""
    await sign_in(engine, server, ALICE)
    engine.add_profile("work")
    await engine.use_profile("work")
    await sign_in(engine, other, BOB, "bob@example.org")
    return engine


async def test_each_account_has_its_own_server_key_and_person(
    two: Engine, machine: Machine, server: Server, other: Server
) -> None:
    assert two.profiles() == {
        "active": "work",
        "profiles": [
            {"name": "default", "server": f"http://127.0.0.1:{server.management_port}", "email": "alice@example.org"},
            {"name": "work", "server": f"http://127.0.0.1:{other.management_port}", "email": "bob@example.org"},
        ],
    }
    assert [two.owner(name) for name in (None, "default", "WORK")] == [BOB, ALICE, BOB]
    assert server.known | other.known == {settings.private_key.public for settings in machine.opened}
    assert len(server.known | other.known) == 2


async def test_changing_takes_one_tunnel_down_and_brings_the_other_up(two: Engine, machine: Machine, server: Server) -> None:
    await two.use_profile("default")
    status = await until(two, in_state("Connected"))
    assert (status["profile"], status["email"], machine.open) == ("default", "alice@example.org", 1)
    assert {machine.key} == server.known
    assert status["publicKey"] == machine.key.text


async def test_changing_while_down_stays_down_and_so_does_a_restart(
    two: Engine, machine: Machine, tmp_path: pathlib.Path
) -> None:
    await two.down()
    await two.use_profile("default")
    assert (two.status()["daemonStatus"], two.status()["profile"], machine.open) == ("Idle", "default", 0)


async def test_the_change_outlasts_a_restart(machine: Machine, server: Server, other: Server, tmp_path: pathlib.Path) -> None:
    async with started(tmp_path / "state") as engine:
        await sign_in(engine, server, ALICE)
        engine.add_profile("work")
        await engine.use_profile("work")
        await sign_in(engine, other, BOB)
        await engine.use_profile("default")
    async with started(tmp_path / "state") as engine:
        assert (await until(engine, in_state("Connected")))["profile"] == "default"
        assert {machine.key} == server.known


async def test_a_new_account_is_nobody_s_and_joined_nowhere(engine: Engine, server: Server, machine: Machine) -> None:
    await sign_in(engine, server, ALICE)
    engine.add_profile("work")
    await engine.use_profile("work")
    status = engine.status()
    assert (status["daemonStatus"], status["management"]["url"], status["email"], machine.open) == ("Idle", "", "", 0)
    assert engine.owner() is None
    await engine.use_profile("default")
    await until(engine, in_state("Connected"))


async def test_an_account_whose_session_ended_does_not_keep_the_other_from_coming_up(two: Engine, other: Server) -> None:
    other.keep_out(SessionExpired("peer login has expired"))
    await until(two, in_state("NeedsLogin", "session-expired"))
    await two.use_profile("default")
    await until(two, in_state("Connected"))


async def test_the_active_account_is_not_removed_and_others_are_forgotten(two: Engine, tmp_path: pathlib.Path) -> None:
    with pytest.raises(ProfileInUse):
        two.remove_profile("work")
    two.remove_profile("Default")
    assert [profile["name"] for profile in two.profiles()["profiles"]] == ["work"]
    for call in (two.owner, two.remove_profile):
        with pytest.raises(ProfileUnknown):
            call("default")
    with pytest.raises(ProfileUnknown):
        await two.use_profile("default")
    assert two.status()["daemonStatus"] == "Connected"
    assert b"alice@example.org" not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


async def test_an_account_that_is_removed_while_it_is_changed_to_leaves_the_former(
    two: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending = two._supervisor.end

    async def remove_meanwhile() -> None:
        two.remove_profile("default")
        await ending()

    with monkeypatch.context() as patched:
        patched.setattr(two._supervisor, "end", remove_meanwhile)
        with pytest.raises(ProfileUnknown):
            await two.use_profile("default")
    assert (await until(two, in_state("Connected")))["profile"] == "work"


async def test_a_disk_that_is_full_leaves_the_former_account_up(two: Engine, tmp_path: pathlib.Path) -> None:
    (tmp_path / "state" / "active-profile.json.new").mkdir()
    with pytest.raises(NotSaved):
        await two.use_profile("default")
    assert (await until(two, in_state("Connected")))["profile"] == "work"


async def test_a_change_of_account_ends_an_up_of_the_former(engine: Engine, server: Server) -> None:
    server.is_silent = True
    engine.add_profile("work")
    going_up = asyncio.create_task(engine.up(UpRequest(join_link=server.link, jwt=token())))
    while not server.key_requests:
        await asyncio.sleep(0.005)
    await engine.use_profile("work")
    with pytest.raises(Exception, match="given up"):
        await going_up
    assert engine.status()["profile"] == "work"


# ---- preferences


async def test_preferences_are_in_force_from_the_next_up(engine: Engine, server: Server, machine: Machine) -> None:
    await sign_in(engine, server, ALICE)
    assert machine.opened[-1].mtu == 1280
    engine.prefer({"mtu": 1420, "wireguard_port": 51999, "disable_dns": True})
    assert len(machine.opened) == 1
    await engine.up(UpRequest())
    assert (len(machine.opened), machine.opened[-1].mtu, machine.opened[-1].port) == (2, 1420, 51999)
    assert (server.logins[-1].meta.flags.disableDNS, server.logins[-1].meta.flags.disableClientRoutes) == (True, False)
    await engine.up(UpRequest())
    assert len(machine.opened) == 2


async def test_preferences_outlast_a_restart_and_a_change_of_account(machine: Machine, tmp_path: pathlib.Path) -> None:
    async with started(tmp_path / "state") as engine:
        engine.prefer({"mtu": 1420})
        engine.add_profile("work")
        await engine.use_profile("work")
    async with started(tmp_path / "state") as engine:
        assert engine.preferences()["mtu"] == 1420


async def test_the_command_line_s_port_comes_first_and_that_is_said(
    machine: Machine, server: Server, tmp_path: pathlib.Path
) -> None:
    async with started(tmp_path / "state", port=51888) as engine:
        engine.prefer({"wireguard_port": 51999, "mtu": 1300})
        assert engine.preferences()["wireguard_port"] == 51888
        assert any("51888" in note and "51999" in note for note in engine.status()["notes"])
        await sign_in(engine, server, ALICE)
        assert machine.opened[-1].port == 51888
        engine.prefer(engine.preferences())  # as settings that are saved whole do it
    async with started(tmp_path / "state") as engine:
        assert engine.preferences()["wireguard_port"] == 51999
        assert engine.status()["notes"] == []


async def test_a_preferred_port_that_is_taken_is_said_and_not_exchanged(engine: Engine, server: Server, machine: Machine) -> None:
    machine.taken.add(51999)
    engine.prefer({"wireguard_port": 51999})
    with pytest.raises(PortTaken):
        await sign_in(engine, server, ALICE)
    assert in_state("Idle", "port-taken")(engine.status())
    machine.taken.clear()
    await engine.up(UpRequest())
    assert machine.opened[-1].port == 51999


async def test_a_port_that_was_chosen_and_is_taken_is_exchanged(engine: Engine, server: Server, machine: Machine) -> None:
    await sign_in(engine, server, ALICE)
    await engine.down()
    machine.taken.add(machine.opened[-1].port)
    await engine.up(UpRequest())
    assert machine.opened[-1].port not in machine.taken


async def test_a_wrong_preference_changes_nothing(engine: Engine) -> None:
    mistakes: tuple[Any, ...] = ({"mtu": 1}, [], None, {"wireguard_port": "51820"})
    for wrong in mistakes:
        with pytest.raises(UsageError):
            engine.prefer(wrong)
    assert engine.preferences()["mtu"] == 0
