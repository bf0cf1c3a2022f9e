"""Logins, through gRPC and sealed envelopes as a helper sends them."""

import asyncio
import logging
import sqlite3
from pathlib import Path

import grpc
import pytest
from sqlalchemy.exc import OperationalError

from protocol.errors import (
    CoveyError,
    LoginNeeded,
    SetupKeyExpired,
    SetupKeyMalformed,
    SetupKeyRevoked,
    SetupKeyUnknown,
    SetupKeyUsedUp,
)
from protocol.generated.management_pb2 import Empty, EncryptedMessage, HostConfig, LoginRequest, SyncMetaRequest
from protocol.grpc_errors import error_of
from protocol.keys import PrivateKey, PublicKey
from server.store import Peer
from tests.unit.server.management.conftest import Clock, Machine, Server, running

NIL = "00000000-0000-0000-0000-000000000000"


async def refusal(machine: Machine, setup_key: str = "") -> tuple[grpc.StatusCode, CoveyError | None]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await machine.login(setup_key)
    error = caught.value
    return error.code(), error_of(error.details() or "", error.trailing_metadata())


async def test_a_machine_joins_with_a_key_in_lower_case_and_hears_how_to_reach_everything(server: Server) -> None:
    response = await server.machine("Alice.example.org").login(await server.setup_key(reusable=False))

    config = response.netbirdConfig
    assert (config.signal.uri, config.signal.protocol) == ("192.0.2.1:443", HostConfig.HTTPS)
    assert list(config.coveyHosts) == ["192.0.2.1", "2001:db8::1"]
    assert [stun.uri for stun in config.stuns] == ["stun:192.0.2.1:3478"]
    assert len(config.turns) == 2
    assert all(turn.user.startswith("1800043200:") and turn.password for turn in config.turns)
    assert response.peerConfig.fqdn == "alice.covey.internal"
    assert response.peerConfig.address.startswith("100.")
    assert response.peerConfig.address.endswith("/16")


async def test_a_later_login_needs_no_key_and_keeps_name_and_address(server: Server) -> None:
    machine = server.machine("alice")
    first = await machine.login(await server.setup_key(reusable=False))
    machine.hostname, machine.version = "renamed", "0.78.0"

    again = await machine.login()

    assert again.peerConfig == first.peerConfig
    found = await server.store.find_peer(machine.private_key.public)
    assert found is not None
    assert (found.name, found.meta.hostname, found.meta.netbird_version) == ("alice", "renamed", "0.78.0")


async def test_a_full_disk_keeps_nobody_out_who_is_in(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object) -> None:
        raise OperationalError("UPDATE", {}, sqlite3.OperationalError("database or disk is full"))

    machine = await server.joined("alice", await server.setup_key())
    machine.version = "0.78.0"
    monkeypatch.setattr(server.store, "update_meta", fail)
    await machine.login()
    await (await machine.sync()).next()
    assert "database or disk is full" in caplog.text


async def test_a_machine_whose_answer_was_lost_registers_again_at_no_cost(server: Server) -> None:
    machine, key = server.machine(), await server.setup_key(reusable=False)

    first, again = await machine.login(key), await machine.login(key)

    assert first.peerConfig == again.peerConfig
    assert [found.used for found in await server.store.setup_keys()] == [1]


@pytest.mark.parametrize("key", ["", NIL])
async def test_a_stranger_without_a_key_is_told_to_log_in(server: Server, key: str) -> None:
    code, error = await refusal(server.machine(), key)

    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert isinstance(error, LoginNeeded)


async def test_every_bad_key_has_its_own_sentence_and_none_shows_the_key(
    server: Server, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    once, short = await server.setup_key(reusable=False), await server.setup_key(lifetime=1.0)
    revoked = await server.store.create_setup_key(name="revoked", reusable=True)
    await server.store.revoke_setup_key(revoked.record.id)
    await server.joined("first", once)
    clock.now += 1.0

    keys = {
        SetupKeyUsedUp: once,
        SetupKeyExpired: short,
        SetupKeyRevoked: revoked.key,
        SetupKeyUnknown: "5b6c8e1d-0000-4000-8000-0123456789ab",
        SetupKeyMalformed: "not-a-key",
    }
    sentences = set()
    for kind, key in keys.items():
        code, error = await refusal(server.machine(), key)
        assert code is (grpc.StatusCode.INVALID_ARGUMENT if kind is SetupKeyMalformed else grpc.StatusCode.PERMISSION_DENIED)
        assert type(error) is kind
        assert key.lower() not in (str(error) + error.hint + caplog.text).lower()
        sentences.add(str(error))
    assert len(sentences) == len(keys)


async def test_of_fifty_machines_at_once_a_one_off_key_lets_in_one(server: Server) -> None:
    key = await server.setup_key(reusable=False)
    machines = [server.machine(f"m{number}") for number in range(50)]

    results = await asyncio.gather(*(machine.login(key) for machine in machines), return_exceptions=True)

    assert sum(not isinstance(result, BaseException) for result in results) == 1
    refused = [result for result in results if isinstance(result, grpc.aio.AioRpcError)]
    assert len(refused) == 49
    assert {result.code() for result in refused} == {grpc.StatusCode.PERMISSION_DENIED}
    assert [found.used for found in await server.store.setup_keys()] == [1]


async def test_fifty_machines_of_one_name_get_fifty_names_and_addresses(server: Server) -> None:
    key = await server.setup_key()
    machines = [server.machine("Ubuntu") for _ in range(50)]

    configs = [response.peerConfig for response in await asyncio.gather(*(machine.login(key) for machine in machines))]

    assert len({config.address for config in configs}) == len({config.fqdn for config in configs}) == 50


async def test_calls_that_a_hasty_client_gives_up_leave_nothing_half_done(server: Server) -> None:
    key = await server.setup_key()
    machines = [server.machine(f"m{number}") for number in range(30)]
    server_key = await machines[0].server_key()
    calls = [m.stub.Login(m.sealed(LoginRequest(setupKey=key, meta=m.meta()), server_key)) for m in machines]
    for _ in range(20):
        await asyncio.sleep(0.001)
        calls[_].cancel()
    await asyncio.gather(*calls, return_exceptions=True)

    after = await server.joined("after", key)

    assert await server.store.find_peer(after.private_key.public) is not None
    _, peers = await server.store.members((await server.store.account()).id)
    assert [found.used for found in await server.store.setup_keys()] == [len(peers)]


async def test_logins_wait_for_their_turn_and_too_many_are_sent_away(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.management.service.MAX_LOGINS", 1)
    monkeypatch.setattr("server.management.service.MAX_WAITING_LOGINS", 1)
    key, arrived, may_go_on, find_peer = await server.setup_key(), asyncio.Semaphore(0), asyncio.Event(), server.store.find_peer

    async def find_peer_later(public_key: PublicKey) -> Peer | None:
        arrived.release()
        await may_go_on.wait()
        return await find_peer(public_key)

    monkeypatch.setattr(server.store, "find_peer", find_peer_later)
    async with asyncio.TaskGroup() as group:
        for name in ("alice", "bob"):
            group.create_task(server.joined(name, key))
            await arrived.acquire()
        code, _ = await refusal(server.machine("carol"), key)
        may_go_on.set()
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    await server.joined("carol", key)


async def test_everything_is_still_there_after_a_restart(tmp_path: Path, clock: Clock) -> None:
    async with running(tmp_path / "data", clock) as server:
        machine = await server.joined("alice", await server.setup_key())
        before, key_before = await machine.login(), await machine.server_key()

    async with running(tmp_path / "data", clock) as server:
        again = Machine(server.channel)
        again.private_key = machine.private_key
        assert (await again.login()).peerConfig == before.peerConfig
        assert await again.server_key() == key_before


async def test_a_login_describes_the_machine(server: Server) -> None:
    machine = server.machine()
    request = machine.sealed(LoginRequest(setupKey=await server.setup_key()), await machine.server_key())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await machine.stub.Login(request)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_extra_dns_labels_are_refused_and_cost_no_use_of_the_key(server: Server) -> None:
    key = await server.setup_key(reusable=False)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await server.machine().login(key, dns_labels=["printer"])
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    await server.machine().login(key)


async def test_what_is_sealed_with_other_keys_is_an_invalid_argument(server: Server) -> None:
    machine = server.machine()
    key = await machine.server_key()
    right = machine.sealed(LoginRequest(meta=machine.meta()), key)
    stranger = PrivateKey.generate().public.text
    wrong = [
        EncryptedMessage(),
        EncryptedMessage(wgPubKey="junk", body=right.body),
        EncryptedMessage(wgPubKey=stranger, body=right.body),
        EncryptedMessage(wgPubKey=right.wgPubKey, body=right.body[:-1]),
        EncryptedMessage(wgPubKey=right.wgPubKey, body=bytes(300_000)),
    ]
    flows = (machine.stub.GetDeviceAuthorizationFlow, machine.stub.GetPKCEAuthorizationFlow, machine.stub.ExtendAuthSession)
    for call in (machine.stub.Login, machine.stub.SyncMeta, machine.stub.Logout, *flows):
        for request in wrong:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(request)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_new_facts_about_a_machine_come_with_sync_meta(server: Server) -> None:
    machine = await server.joined("alice", await server.setup_key())
    machine.version = "0.79.0"

    await machine.stub.SyncMeta(machine.sealed(SyncMetaRequest(meta=machine.meta()), await machine.server_key()))

    found = await server.store.find_peer(machine.private_key.public)
    assert found is not None
    assert found.meta.netbird_version == "0.79.0"


async def test_a_machine_that_logged_out_is_a_stranger_again(server: Server) -> None:
    machine = await server.joined("alice", await server.setup_key())
    await machine.logout()
    await machine.logout()
    assert (await refusal(machine))[0] is grpc.StatusCode.PERMISSION_DENIED


async def test_another_message_of_a_machine_cannot_be_replayed_as_its_logout(server: Server) -> None:
    machine = await server.joined("alice", await server.setup_key())
    recorded = machine.sealed(LoginRequest(meta=machine.meta()), await machine.server_key())
    with pytest.raises(grpc.aio.AioRpcError):
        await machine.stub.Logout(recorded)
    await machine.login()


async def test_jobs_are_unimplemented_and_health_is_not(server: Server) -> None:
    machine = server.machine()
    await machine.stub.isHealthy(Empty())
    job = machine.stub.Job()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await job.read()
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_failure_that_nobody_foresaw_is_logged_and_told_to_nobody(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_: object) -> None:
        raise RuntimeError("the inner secret")

    monkeypatch.setattr(server.store, "find_peer", fail)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await server.machine().login()
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in (caught.value.details() or "")
    assert sum("Login failed" in record.getMessage() for record in caplog.records) == 1
