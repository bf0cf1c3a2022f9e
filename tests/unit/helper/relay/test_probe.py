"""Asking a relay server for a sign of life."""

import asyncio
import socket

import pytest

from helper.ice import binding
from helper.relay import probe as probing
from helper.relay.datagrams import ROOM
from helper.relay.probe import probe
from helper.relay.servers import TurnServer
from protocol.addresses import Address

SERVER = TurnServer("relay.example", 3478, "udp", "u", "secret")
BOUND = 30.0  # seconds; generous, only reached when something hangs


async def test_a_server_is_there_if_any_of_its_addresses_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(type=socket.SOCK_DGRAM) as answering, socket.socket(type=socket.SOCK_DGRAM) as silent:
        for one in (answering, silent):
            one.setblocking(False)
            one.bind(("127.0.0.1", 0))

        async def resolve(_: TurnServer) -> list[Address]:
            return [Address.of(*one.getsockname()) for one in (silent, answering)]

        async def serve() -> None:
            data, source = await loop.sock_recvfrom(answering, 2048)
            answer = binding.success(binding.parse(data), Address.of(*source), "")
            await loop.sock_sendto(answering, answer, source)

        monkeypatch.setattr(probing, "resolve", resolve)
        async with asyncio.timeout(BOUND), asyncio.TaskGroup() as group:
            group.create_task(serve())
            assert await probe(SERVER, None, memoryview(bytearray(ROOM)), 0) < BOUND
