"""Persons' machines, through gRPC as helpers do it: how long they may be in, and what ends it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from protocol.errors import LoginNeeded, SessionExpired, UserBlocked
from protocol.generated.management_pb2 import SyncMetaRequest
from server.store import open_store
from tests.unit.server.identity.tokens import claims, token
from tests.unit.server.management.conftest import (
    SETTINGS,
    Clock,
    Company,
    Machine,
    Source,
    how_it_ends,
    refusal,
    running,
)

DAY = 86400.0
pytestmark = pytest.mark.usefixtures("brisk")


async def test_a_session_that_ends_takes_the_machine_off_everybodys_map(company: Company) -> None:
    server_room = await company.joined("server", await company.setup_key())
    laptop = await company.laptop("laptop")
    of_server, of_laptop = await server_room.sync(), await laptop.sync()
    await of_server.until_it_sees("laptop")
    await of_laptop.until_it_sees("server")

    company.clock.now += DAY

    error = await how_it_ends(of_laptop)
    assert isinstance(error, SessionExpired)
    assert "peer login has expired" in str(error)
    assert (await of_server.until_it_sees()).NetworkMap.remotePeersIsEmpty


async def test_a_machine_whose_session_is_over_is_asked_to_sign_in_and_no_setup_key_helps(company: Company) -> None:
    laptop, key = await company.laptop("laptop"), await company.setup_key()
    company.clock.now += DAY
    meta = laptop.sealed(SyncMetaRequest(meta=laptop.meta()), await laptop.server_key())
    for call in (laptop.login(), laptop.login(key), (await laptop.sync()).next(), laptop.stub.SyncMeta(meta)):
        code, error = await refusal(call)
        assert code is grpc.StatusCode.PERMISSION_DENIED
        assert isinstance(error, SessionExpired)
        assert "peer login has expired" in str(error)
    assert [found.used for found in await company.store.setup_keys()] == [0]


async def revive_by_login(company: Company, laptop: Machine) -> None:
    await laptop.login(token=company.token())


async def revive_by_extension(company: Company, laptop: Machine) -> None:
    await laptop.extend(company.token())


@pytest.mark.parametrize("revive", [revive_by_login, revive_by_extension])
async def test_signing_in_again_brings_a_machine_back_at_once(
    company: Company, revive: Callable[[Company, Machine], Any]
) -> None:
    server_room, laptop = await company.joined("server", await company.setup_key()), await company.laptop("laptop")
    address = (await laptop.login()).peerConfig.address
    of_server = await server_room.sync()
    await of_server.until_it_sees("laptop")
    company.clock.now += DAY
    await of_server.until_it_sees()

    await revive(company, laptop)

    await of_server.until_it_sees("laptop")
    assert (await laptop.login()).peerConfig.address == address
    first = await (await laptop.sync()).until_it_sees("server")
    assert first.sessionExpiresAt.seconds == company.clock.now + DAY


async def test_a_session_is_extended_without_touching_the_stream(company: Company) -> None:
    server_room, laptop = await company.joined("server", await company.setup_key()), await company.laptop("laptop")
    of_server, of_laptop = await server_room.sync(), await laptop.sync()
    await of_server.until_it_sees("laptop")
    await of_laptop.next()
    company.clock.now += DAY - 1

    until = await laptop.extend(company.token())

    assert until == company.clock.now + DAY
    news = await of_laptop.next()
    assert news.sessionExpiresAt.seconds == until
    assert not news.HasField("NetworkMap")
    assert not news.HasField("netbirdConfig")
    company.clock.now += 2  # the former end is over
    await company.joined("newcomer", await company.setup_key())
    changed = await of_laptop.until_it_sees("server", "newcomer")
    assert not changed.HasField("sessionExpiresAt")
    await of_server.until_it_sees("laptop", "newcomer")


async def test_the_next_of_several_sessions_ends_in_its_turn(company: Company) -> None:
    watcher = await (await company.joined("server", await company.setup_key())).sync()
    for number, person in enumerate(("alice", "bob", "carol")):
        await company.laptop(f"m{number}", person)
        company.clock.now += 10
    await watcher.until_it_sees("m0", "m1", "m2")
    company.clock.now += DAY - 30
    await watcher.until_it_sees("m1", "m2")
    company.clock.now += 10
    await watcher.until_it_sees("m2")
    company.clock.now += 10
    await watcher.until_it_sees()


async def test_an_extension_needs_a_token_a_person_and_an_end(company: Company) -> None:
    laptop, server_room = await company.laptop("laptop"), await company.joined("server", await company.setup_key())
    assert (await refusal(laptop.extend("")))[0] is grpc.StatusCode.INVALID_ARGUMENT
    text = company.token()
    assert (await refusal(server_room.extend(text)))[0] is grpc.StatusCode.FAILED_PRECONDITION
    code, error = await refusal(company.machine("stranger").extend(text))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert type(error) is LoginNeeded
    await laptop.extend(text)  # which none of them has cost


@pytest.mark.parametrize(("lifetime", "end"), [(3600.0, 3600), (float("inf"), None)])
async def test_how_long_sessions_last_is_configured(tmp_path: Path, clock: Clock, lifetime: float, end: int | None) -> None:
    settings = replace(SETTINGS, session_lifetime=lifetime)
    async with running(tmp_path / "data", clock, settings, lambda store: Source(store, clock)) as server:
        machine = server.machine()
        response = await machine.login(token=token(claims(clock.now)))
        assert response.sessionExpiresAt.seconds == (0 if end is None else clock.now + end)
    async with running(tmp_path / "data", clock) as server:  # a start that says nothing of it changes nothing
        assert (await server.store.account()).session_lifetime == (None if end is None else lifetime)


# ---- persons who are kept out


async def test_a_person_whom_another_program_blocks_loses_their_machines_and_gets_them_back(
    company: Company, tmp_path: Path
) -> None:
    of_bob, of_alice = await company.laptop("bobs", "bob"), await company.laptop("alices", "alice")
    bob, alice = await of_bob.sync(), await of_alice.sync()
    await bob.until_it_sees("alices")
    await alice.until_it_sees("bobs")

    async with open_store(tmp_path / "company", must_exist=True) as other:
        user = await other.people.find_by_email("bob@example.org")
        await other.people.set_blocked(user.id, True)

    assert isinstance(await how_it_ends(bob), UserBlocked)
    await alice.until_it_sees()
    machine = await company.store.find_peer(of_bob.private_key.public)
    assert machine is not None
    assert company.barred == {machine.id}
    for call in (of_bob.login(), of_bob.login(token=company.token("bob")), of_bob.extend(company.token("bob"))):
        assert isinstance((await refusal(call))[1], UserBlocked)
    code, _ = await refusal(company.machine("new").login(token=company.token("bob")))
    assert code is grpc.StatusCode.PERMISSION_DENIED

    async with open_store(tmp_path / "company", must_exist=True) as other:
        await other.people.set_blocked(user.id, False)
    await alice.until_it_sees("bobs")
    await (await of_bob.sync()).until_it_sees("alices")
    assert company.barred == set()


async def test_a_person_who_is_removed_takes_their_machines_along(company: Company, tmp_path: Path) -> None:
    of_bob, of_alice = await company.laptop("bobs", "bob"), await company.laptop("alices", "alice")
    bob, alice = await of_bob.sync(), await of_alice.sync()
    await bob.until_it_sees("alices")
    await alice.until_it_sees("bobs")

    async with open_store(tmp_path / "company", must_exist=True) as other:
        await other.people.remove_user((await other.people.find_by_email("bob@example.org")).id)

    assert (await bob.next()).NetworkMap.firewallRulesIsEmpty
    assert await bob.has_ended()
    await alice.until_it_sees()
    assert type((await refusal(of_bob.login()))[1]) is LoginNeeded


async def test_a_machine_that_is_kept_out_may_still_leave(company: Company) -> None:
    laptop = await company.laptop("laptop")
    company.clock.now += DAY
    await laptop.logout()
    assert await company.store.find_peer(laptop.private_key.public) is None
