import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import grpc
import pytest

from helper.clients import management
from helper.clients.management import ManagementClient
from protocol.errors import (
    LoginNeeded,
    LoginRefused,
    ServerUnreachable,
    SessionExpired,
    SetupKeyMalformed,
    SetupKeyUsedUp,
)
from protocol.generated.management_pb2 import LoginResponse, NetworkMap, PeerConfig, PeerSystemMeta, SyncResponse
from protocol.join_link import ServerLocation
from protocol.keys import PrivateKey
from tests.unit.helper.clients.servers import LOOPBACK, Management, certificate, serving

KEY = str(uuid.uuid4())
TLS = certificate("covey-server")
BOUND = 30.0  # seconds; generous, only reached when something hangs


def location(port: int) -> ServerLocation:
    return ServerLocation((LOOPBACK,), port, tls=False)


@asynccontextmanager
async def client_at(port: int, private_key: PrivateKey | None = None) -> AsyncIterator[ManagementClient]:
    client = ManagementClient(location(port), private_key or PrivateKey.generate(), lambda: PeerSystemMeta(hostname="alice"))
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def registered(server: Management) -> AsyncIterator[ManagementClient]:
    own = PrivateKey.generate()
    server.known.add(own.public)
    async with serving(server) as port, client_at(port, own) as client:
        yield client


async def test_registers_with_the_setup_key_only_after_a_login_without_it_was_refused() -> None:
    server = Management(KEY)
    async with serving(server) as port, client_at(port) as client:
        response = await client.login(KEY.upper())
    assert [login.setupKey for login in server.logins] == ["", KEY]
    assert {login.meta.hostname for login in server.logins} == {"alice"}
    assert response.netbirdConfig.signal.uri == "192.0.2.1:443"


async def test_a_machine_that_the_server_knows_needs_no_setup_key() -> None:
    server = Management(KEY)
    async with registered(server) as client:
        await client.login(None)
        await client.login(KEY)
    assert [login.setupKey for login in server.logins] == ["", ""]


async def test_asks_for_the_server_s_key_before_each_login() -> None:
    server = Management()
    async with registered(server) as client:
        await client.login(None)
        server.private_key = PrivateKey.generate()  # as after a restart of NetBird's server
        await client.login(None)
    assert server.key_requests == 2


async def test_logs_in_once_more_where_registration_leaves_out_the_signal_server() -> None:
    server = Management(KEY)
    server.response = LoginResponse(peerConfig=PeerConfig(address="100.92.0.1/16"))
    async with serving(server) as port, client_at(port) as client:
        await client.login(KEY)
    assert [login.setupKey for login in server.logins] == ["", KEY, ""]


@pytest.mark.parametrize("status", [grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.INVALID_ARGUMENT])
async def test_an_unknown_machine_without_a_setup_key_needs_a_login(status: grpc.StatusCode) -> None:
    server = Management(KEY)
    server.plain_refusal = status
    async with serving(server) as port, client_at(port) as client:
        with pytest.raises(LoginNeeded):
            await client.login(None)


async def test_a_netbird_server_s_ended_session_is_told_as_one() -> None:
    class Ended(Management):
        async def Login(self, request, context):
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "peer login has expired, please log in once more")

    async with registered(Ended()) as client:
        with pytest.raises(SessionExpired, match="peer login has expired"):
            await client.login(None)


async def test_a_damaged_setup_key_is_never_sent_nor_repeated() -> None:
    server = Management(KEY)
    async with serving(server) as port, client_at(port) as client:
        with pytest.raises(SetupKeyMalformed) as caught:
            await client.login("secret-but-damaged")
    assert server.logins == []
    assert "secret" not in str(caught.value)


async def test_the_server_s_own_error_arrives_as_it_was_raised() -> None:
    server = Management(KEY)
    server.refusal = SetupKeyUsedUp("the setup key is used up", "Ask Alice.")
    async with serving(server) as port, client_at(port) as client:
        with pytest.raises(SetupKeyUsedUp, match="used up") as caught:
            await client.login(str(uuid.uuid4()))
    assert caught.value.hint == "Ask Alice."


@pytest.mark.parametrize("status", management.REFUSED)
async def test_a_netbird_server_s_refusal_is_told_in_its_words(status: grpc.StatusCode) -> None:
    server = Management(KEY)
    server.refusal = (status, "the setup key is invalid\nby its owner")
    async with serving(server) as port, client_at(port) as client:
        with pytest.raises(LoginRefused, match="the setup key is invalid by its owner"):
            await client.login(str(uuid.uuid4()))


@pytest.mark.parametrize("status", [grpc.StatusCode.INTERNAL, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNIMPLEMENTED])
async def test_a_server_in_trouble_is_not_a_refused_login(status: grpc.StatusCode) -> None:
    server = Management(KEY)
    server.plain_refusal = status
    async with serving(server) as port, client_at(port) as client:
        with pytest.raises(ServerUnreachable):
            await client.login(KEY)


async def test_a_server_that_does_not_answer_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(management, "ATTEMPT_TIMEOUT", 0.05)
    server = Management()
    async with registered(server) as client:
        server.is_silent = True
        with pytest.raises(ServerUnreachable, match=r"in time|no answer|no gRPC"):
            await client.login(None)


async def test_a_server_that_came_back_is_found_again() -> None:
    server = Management(KEY)
    async with serving(server) as port:
        client = ManagementClient(location(port), PrivateKey.generate(), PeerSystemMeta)
        await client.login(KEY)
    with pytest.raises(ServerUnreachable):
        await client.login(None)
    async with serving(server, port=port):
        await client.login(None)
        await client.close()


@pytest.mark.parametrize("key", ["", "nonsense", "A" * 43 + "="])
async def test_a_server_without_a_usable_key_is_unreachable(key: str) -> None:
    class Keyless(Management):
        async def GetServerKey(self, request, context):
            answer = await super().GetServerKey(request, context)
            answer.key = key
            return answer

    async with registered(Keyless()) as client:
        with pytest.raises(ServerUnreachable, match="no usable key"):
            await client.login(None)


async def test_an_answer_sealed_by_somebody_else_is_not_taken() -> None:
    class Impostor(Management):
        def _sealed(self, message, peer):
            self.private_key = PrivateKey.generate()
            return super()._sealed(message, peer)

    async with registered(Impostor()) as client:
        with pytest.raises(ServerUnreachable, match="not for us"):
            await client.login(None)


async def test_sync_brings_each_map_and_ends_with_the_stream() -> None:
    server = Management()
    for item in (1, 2):
        server.maps.put_nowait(SyncResponse(NetworkMap=NetworkMap(Serial=item)))
    server.maps.put_nowait(SyncResponse(Version=1))  # of a kind that we did not ask for
    server.maps.put_nowait(SyncResponse(NetworkMap=NetworkMap(Serial=3)))
    server.maps.put_nowait(None)
    async with registered(server) as client:
        assert [response.NetworkMap.Serial async for response in client.sync()] == [1, 2, 3]


async def test_sync_of_a_machine_that_was_removed_needs_a_login() -> None:
    async with serving(Management()) as port, client_at(port) as client:
        with pytest.raises(LoginNeeded):
            await anext(client.sync())


async def test_sync_tells_that_the_connection_is_lost() -> None:
    server = Management()
    server.maps.put_nowait(SyncResponse())
    server.maps.put_nowait(grpc.StatusCode.UNAVAILABLE)
    async with registered(server) as client:
        maps = client.sync()
        await anext(maps)
        with pytest.raises(ServerUnreachable):
            await anext(maps)


async def test_a_silent_sync_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(management, "FIRST_MESSAGE_TIMEOUT", 0.05)
    async with registered(Management()) as client:
        with pytest.raises(ServerUnreachable):
            await anext(client.sync())


async def test_closing_the_client_ends_a_waiting_sync() -> None:
    server = Management()
    server.maps.put_nowait(SyncResponse())
    async with registered(server) as client:
        maps = client.sync()
        await anext(maps)
        waiting = asyncio.create_task(anext(maps))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        await client.close()
        with pytest.raises(ServerUnreachable, match=r"closed|lost"):
            await asyncio.wait_for(waiting, BOUND)
        with pytest.raises(ServerUnreachable, match="closed"):
            await client.login(None)


async def test_leaving_a_sync_early_leaves_the_connection_usable() -> None:
    server = Management()
    server.maps.put_nowait(SyncResponse())
    async with registered(server) as client:
        async with aclosing(client.sync()) as maps:  # type: ignore[type-var]
            await anext(maps)
        await client.login(None)


async def test_cancelling_a_sync_is_a_cancellation_and_no_lost_connection() -> None:
    server = Management()
    server.maps.put_nowait(SyncResponse())
    async with registered(server) as client:
        maps = client.sync()
        await anext(maps)
        waiting = asyncio.create_task(anext(maps))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await client.login(None)


async def test_changed_metadata_reaches_the_server_or_waits_for_the_next_sync() -> None:
    server = Management()
    async with registered(server) as client:
        await client.sync_meta()
        server.lacks.add("SyncMeta")
        await client.sync_meta()
    assert [meta.meta.hostname for meta in server.metas] == ["alice"]


async def test_logging_out_twice_is_as_good_as_once() -> None:
    server = Management()
    async with registered(server) as client:
        await client.logout()
        assert server.known == set()
        await client.logout()


async def test_a_check_of_a_dead_connection_ends_the_sync() -> None:
    server = Management()
    server.maps.put_nowait(SyncResponse())
    async with registered(server) as client:
        maps = client.sync()
        await anext(maps)
        waiting = asyncio.create_task(anext(maps))  # type: ignore[arg-type]
        await client.check()
        assert not waiting.done()
        server.is_silent = True
        await client.check(within=0.05)
        with pytest.raises(ServerUnreachable):
            await asyncio.wait_for(waiting, BOUND)


async def test_concurrent_calls_share_one_connection() -> None:
    server = Management()
    async with registered(server) as client:
        await asyncio.gather(*(client.login(None) for _ in range(5)))
        assert len(server.logins) == 5


async def test_logs_in_over_tls_with_a_pin() -> None:
    server = Management(KEY)
    async with serving(server, tls=TLS) as port:
        client = ManagementClient(ServerLocation((LOOPBACK,), port, TLS.pin), PrivateKey.generate(), PeerSystemMeta)
        await client.login(KEY)
        await client.close()
    assert len(server.known) == 1
