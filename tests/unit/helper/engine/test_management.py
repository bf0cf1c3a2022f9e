"""Which network maps are taken, and which are older than what we know."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import cast

import pytest

from helper.clients.backoff import Backoff
from helper.clients.management import ManagementClient
from helper.engine.management import Management
from helper.engine.network_map import NetworkMap as Map
from helper.engine.plan import AddressChanged, Callbacks, Plan
from helper.recorder import Recorder
from protocol.generated.management_pb2 import LoginResponse, NetworkMap, PeerConfig, SyncResponse
from protocol.join_link import ServerLocation
from protocol.keys import PrivateKey
from tests.unit.helper.engine.conftest import ADDRESS, BOUND

ELSEWHERE = "100.92.7.7/16"


def response(serial: int, address: str = ADDRESS) -> SyncResponse:
    return SyncResponse(NetworkMap=NetworkMap(Serial=serial, peerConfig=PeerConfig(address=address)))


def management(*streams: list[SyncResponse]) -> tuple[Management, list[int], asyncio.Event]:
    """One whose server sends these streams, one after the other; with the serials that it took, and what says that all came."""
    waiting, taken, over = list(streams), list[int](), asyncio.Event()

    async def sync() -> AsyncIterator[SyncResponse]:
        if not waiting:
            over.set()
            await asyncio.Event().wait()
        for each in waiting.pop(0):
            yield each

    def apply(_: Map | None, new: Map) -> None:
        taken.append(new.serial)

    def nothing(*_: object) -> None:
        pass

    login = LoginResponse(peerConfig=PeerConfig(address=ADDRESS))
    plan = Plan(ServerLocation(("127.0.0.1",), 443, tls=False), PrivateKey.generate(), "covey-test", 0, "userspace", login)
    callbacks = Callbacks(lambda: None, nothing, nothing, nothing, Recorder())
    client = cast(ManagementClient, SimpleNamespace(sync=sync))
    found = Management(plan, client, callbacks, nothing, apply, lambda: None)
    found.retry.backoff = Backoff(first=0.001, cap=(0.001, 0.002))
    return found, taken, over


async def test_an_older_map_is_passed_over_in_a_stream_but_the_first_of_one_is_taken() -> None:
    # given    a server that overtakes itself, and then comes back from a backup
    server, taken, over = management([response(9), response(8), response(10)], [response(3), response(4)])
    running = asyncio.create_task(server.run())
    async with asyncio.timeout(BOUND):
        await over.wait()
    running.cancel()
    assert taken == [9, 10, 3, 4]


async def test_a_map_of_an_earlier_time_does_not_keep_out_a_newer_one_of_a_smaller_number() -> None:
    server, taken, over = management([response(2)])
    server.use_saved_map(response(99))
    assert server.map_is_saved
    running = asyncio.create_task(server.run())
    async with asyncio.timeout(BOUND):
        await over.wait()
    running.cancel()
    assert taken == [99, 2]
    assert not server.map_is_saved


async def test_another_address_of_ours_is_taken_up_at_once() -> None:
    server, taken, _ = management([response(1), response(2, ELSEWHERE)])
    with pytest.raises(AddressChanged):
        await server.run()
    assert taken == [1]
    assert server.login.peerConfig.address == ELSEWHERE
    assert server.last_response == response(2, ELSEWHERE)  # with which the next session begins
