import asyncio
import ipaddress
from collections.abc import Iterable

import pytest

from protocol.addresses import Address, IPAddress
from server.stun_turn import own_addresses
from server.stun_turn.codec import Method
from tests.unit.server.stun_turn.client import PEER, UDP, WITHIN, SocketClient, error_of, peer_attribute
from tests.unit.server.stun_turn.test_sockets import on_linux, turn


@on_linux
def test_this_machine_has_a_loopback_address() -> None:
    assert ipaddress.ip_address("127.0.0.1") in own_addresses()


async def test_addresses_that_this_machine_gets_later_are_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.stun_turn.service.OWN_ADDRESSES_AGE", 0.001)
    loop, has_more, was_read_again = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    first, later = PEER.ip, ipaddress.ip_address("198.51.100.8")
    readings = 0

    def read() -> Iterable[IPAddress]:
        nonlocal readings
        if has_more.is_set():
            readings += 1
            if readings == 1:
                raise OSError("one failure ends nothing")
            if readings == 3:  # the second one has been taken in by now
                loop.call_soon_threadsafe(was_read_again.set)
            return (first, later)
        return (first,)

    async with turn(own_addresses=read) as service, SocketClient.udp(service.addresses[0]) as client:
        await client.request(Method.ALLOCATE, UDP)

        async def permit(ip: IPAddress) -> int:
            return error_of(await client.request(Method.CREATE_PERMISSION, peer_attribute(Address(ip, 9))))

        assert (await permit(first), await permit(later)) == (403, 0)
        has_more.set()
        async with asyncio.timeout(WITHIN):
            await was_read_again.wait()
        assert (await permit(first), await permit(later)) == (403, 403)
