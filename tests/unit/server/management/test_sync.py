"""Sync streams through gRPC: what a machine hears of the others, and when its stream ends."""

import asyncio
import dataclasses
import logging
from pathlib import Path
from typing import NoReturn, cast

import grpc
import pytest

from protocol.generated.management_pb2 import EncryptedMessage, SyncRequest
from server.management.answers import Context
from server.management.hub import EPHEMERAL_LIFETIME
from server.store import open_store
from tests.unit.server.management.conftest import BOUND, SETTINGS, Clock, Machine, Server, running


async def test_the_first_message_holds_the_configuration_and_the_whole_map(server: Server) -> None:
    key = await server.setup_key()
    alice, bob = await server.joined("alice", key), await server.joined("bob", key)
    address = (await alice.login()).peerConfig.address

    first = await (await alice.sync()).next()

    assert first.netbirdConfig.signal.uri == "192.0.2.1:443"
    assert [stun.uri for stun in first.netbirdConfig.stuns] == ["stun:192.0.2.1:3478"]
    assert len(first.netbirdConfig.turns) == 2
    network_map = first.NetworkMap
    assert network_map.Serial > 0
    assert network_map.peerConfig.address == first.peerConfig.address == address
    (remote,) = network_map.remotePeers
    assert (remote.wgPubKey, remote.fqdn, remote.agentVersion) == (bob.private_key.public.text, "bob.covey.internal", "0.77.1")
    assert remote.allowedIps == [(await bob.login()).peerConfig.address.split("/")[0] + "/32"]


@pytest.mark.usefixtures("brisk")
async def test_everybody_hears_of_a_newcomer_with_a_higher_serial_and_no_configuration(server: Server) -> None:
    key = await server.setup_key()
    alice = await server.joined("alice", key)
    stream = await alice.sync()
    first = await stream.next()
    assert first.NetworkMap.remotePeersIsEmpty

    await server.joined("bob", key)

    second = await stream.until_it_sees("bob")
    assert second.NetworkMap.Serial > first.NetworkMap.Serial
    assert not second.HasField("netbirdConfig")
    assert second.peerConfig == first.peerConfig


@pytest.mark.usefixtures("brisk")
async def test_a_machine_whose_version_changed_is_shown_with_it(server: Server) -> None:
    key = await server.setup_key()
    alice, bob = await server.joined("alice", key), await server.joined("bob", key)
    stream = await alice.sync()
    await stream.next()
    bob.version = "0.80.0"

    await bob.sync()

    assert [remote.agentVersion for remote in (await stream.next()).NetworkMap.remotePeers] == ["0.80.0"]


async def test_many_newcomers_at_once_come_in_few_maps_and_the_last_one_is_complete(server: Server) -> None:
    key = await server.setup_key()
    stream = await (await server.joined("alice", key)).sync()
    await stream.next()
    names = [f"m{number}" for number in range(40)]

    joining = asyncio.gather(*(server.joined(name, key) for name in names))
    seen = [await stream.next()]
    while len(seen[-1].NetworkMap.remotePeers) < len(names):
        seen.append(await stream.next())
    await joining

    assert len(seen) < len(names) / 2
    serials = [response.NetworkMap.Serial for response in seen]
    assert serials == sorted(set(serials))


@pytest.mark.usefixtures("brisk")
async def test_a_machine_that_was_removed_is_told_so_and_the_others_lose_it(server: Server) -> None:
    key = await server.setup_key()
    alice, bob = await server.joined("alice", key), await server.joined("bob", key)
    of_alice, of_bob = await alice.sync(), await bob.sync()
    await of_alice.next()
    await of_bob.next()

    await bob.logout()

    farewell = await of_bob.next()
    assert farewell.NetworkMap.remotePeersIsEmpty
    assert farewell.NetworkMap.firewallRulesIsEmpty
    assert not farewell.NetworkMap.HasField("peerConfig")
    assert not farewell.HasField("peerConfig")
    assert await of_bob.has_ended()
    assert (await of_alice.until_it_sees()).NetworkMap.remotePeersIsEmpty
    await refuses_to_sync(bob)


@pytest.mark.usefixtures("brisk")
async def test_a_removal_by_another_program_is_noticed(server: Server, tmp_path: Path) -> None:
    key = await server.setup_key()
    alice, bob = await server.joined("alice", key), await server.joined("bob", key)
    of_alice, of_bob = await alice.sync(), await bob.sync()
    await of_alice.next()
    await of_bob.next()

    async with open_store(tmp_path / "data", must_exist=True) as other:
        await other.remove_peers([(await other.find_by_id_or_name("bob")).id])

    assert (await of_bob.next()).NetworkMap.firewallRulesIsEmpty
    assert await of_bob.has_ended()
    await of_alice.until_it_sees()


async def test_a_stranger_gets_no_stream(server: Server) -> None:
    await refuses_to_sync(server.machine())


async def test_a_second_stream_of_a_machine_ends_its_first(server: Server) -> None:
    alice = await server.joined("alice", await server.setup_key())
    first = await alice.sync()
    await first.next()

    second = await alice.sync()
    await second.next()

    assert await first.has_ended()
    assert server.service.stream_count == 1


async def test_credentials_are_renewed_in_time_without_a_map(tmp_path: Path, clock: Clock) -> None:
    settings = dataclasses.replace(SETTINGS, turn_lifetime=1)
    async with running(tmp_path / "data", clock, settings) as server:
        stream = await (await server.joined("alice", await server.setup_key())).sync()
        await stream.next()
        renewal = await stream.next()

    assert len(renewal.netbirdConfig.turns) == 2
    assert len(renewal.netbirdConfig.stuns) == 1
    assert not renewal.HasField("NetworkMap")
    assert not renewal.HasField("peerConfig")


@pytest.mark.usefixtures("brisk")
async def test_an_ephemeral_machine_is_forgotten_ten_minutes_after_it_left(server: Server, clock: Clock) -> None:
    alice = await server.joined("alice", await server.setup_key())
    ghost = await server.joined("ghost", await server.setup_key(ephemeral=True))
    of_alice, of_ghost = await alice.sync(), await ghost.sync()
    await of_alice.until_it_sees("ghost")
    await of_ghost.next()
    clock.now += 2 * EPHEMERAL_LIFETIME  # while it is here nothing happens
    await asyncio.sleep(0.05)
    assert await server.store.find_peer(ghost.private_key.public) is not None

    of_ghost.call.cancel()
    async with asyncio.timeout(BOUND):
        while await server.store.find_peer(ghost.private_key.public) is not None:
            clock.now += EPHEMERAL_LIFETIME
            await asyncio.sleep(0.01)
    await of_alice.until_it_sees()


async def test_stopping_the_server_ends_every_stream(server: Server) -> None:
    stream = await (await server.joined("alice", await server.setup_key())).sync()
    await stream.next()
    server.service.end_streams()
    assert await stream.has_ended()


async def test_clients_that_vanish_are_forgotten_without_a_complaint(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    key = await server.setup_key()
    machines = [await server.joined(f"m{number}", key) for number in range(20)]
    streams = [await machine.sync() for machine in machines]
    await asyncio.gather(*(stream.next() for stream in streams))

    for stream in streams:
        stream.call.cancel()
    await server.joined("late", key)

    async with asyncio.timeout(BOUND):
        while server.service.stream_count:
            await asyncio.sleep(0.01)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


class Unread:
    """The call of a machine that does not read."""

    aborted_with: grpc.StatusCode | None = None

    async def write(self, message: EncryptedMessage) -> None:
        await asyncio.Event().wait()

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: object = ()) -> NoReturn:
        self.aborted_with = code
        raise grpc.aio.AbortError(details)


async def test_a_machine_that_does_not_read_is_cut_off(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.management.answers.WRITE_TIMEOUT", 0.01)
    alice, call = await server.joined("alice", await server.setup_key()), Unread()
    request = alice.sealed(SyncRequest(meta=alice.meta()), await alice.server_key())
    async with asyncio.timeout(BOUND):
        with pytest.raises(grpc.aio.AbortError):
            await server.service.Sync(request, cast(Context, call))
    assert call.aborted_with is grpc.StatusCode.UNAVAILABLE
    assert server.service.stream_count == 0


async def refuses_to_sync(machine: Machine) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await machine.stub.Sync(machine.sealed(SyncRequest(meta=machine.meta()), await machine.server_key())).read()
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
