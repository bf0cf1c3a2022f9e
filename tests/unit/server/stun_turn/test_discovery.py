"""What the server tells about NATs (RFC 5780): in the core, and over sockets."""

import asyncio
import socket
from dataclasses import replace
from ipaddress import ip_address

import pytest

from protocol.addresses import Address
from protocol.stun import CHANGE_IP, CHANGE_PORT, Attribute, pack_address
from server.stun_turn import TurnService, codec
from server.stun_turn.actions import SendToClient
from server.stun_turn.allocations import ClientId
from server.stun_turn.codec import Class, Message, Method
from server.stun_turn.discovery import Discovery
from server.stun_turn.turn import TurnServer
from tests.unit.server.stun_turn.client import WITHIN, config, error_of

ONE, TWO, SIX = ip_address("203.0.113.1"), ip_address("203.0.113.2"), ip_address("2001:db8::1")
PORTS = {(4, 3478): 3479, (4, 3479): 3478}
BOTH = Discovery(PORTS, (ONE, TWO, SIX), frozenset({ONE, TWO, SIX}))
CLIENT = ClientId("udp", Address.of("192.0.2.10", 40000), Address(ONE, 3478))


def request(flags: int | None = None) -> bytes:
    attributes = [] if flags is None else [(int(Attribute.CHANGE_REQUEST), flags.to_bytes(4, "big"))]
    return codec.build(Message(Method.BINDING, Class.REQUEST, bytes(range(12)), attributes))


def answered(discovery: Discovery, data: bytes, client: ClientId = CLIENT) -> tuple[Address, Message, bytes]:
    """From where the answer leaves, and what it says."""
    server = TurnServer(config())
    server.discovery = discovery
    [action] = server.handle(data, client, 0.0)
    assert isinstance(action, SendToClient)
    assert action.client.remote == client.remote
    return action.client.local, codec.parse(action.data), action.data


def said(message: Message, kind: Attribute) -> bytes | None:
    return message.get(kind)


def test_an_answer_names_its_origin_and_the_other_address() -> None:
    source, message, data = answered(BOTH, request())
    assert source == Address(ONE, 3478)
    assert said(message, Attribute.RESPONSE_ORIGIN) == pack_address(Address(ONE, 3478))
    assert said(message, Attribute.OTHER_ADDRESS) == pack_address(Address(TWO, 3479))
    assert len(data) <= len(request()) + 40  # who asks in another's name gains next to nothing


@pytest.mark.parametrize(
    ("flags", "source"),
    [(CHANGE_PORT, Address(ONE, 3479)), (CHANGE_IP, Address(TWO, 3478)), (CHANGE_IP | CHANGE_PORT, Address(TWO, 3479))],
)
def test_an_answer_leaves_from_where_the_client_wants_it(flags: int, source: Address) -> None:
    left, message, _ = answered(BOTH, request(flags))
    assert left == source
    assert said(message, Attribute.RESPONSE_ORIGIN) == pack_address(source)
    assert said(message, Attribute.OTHER_ADDRESS) == pack_address(Address(TWO, 3479))


def test_what_the_server_cannot_do_is_refused_and_never_pretended() -> None:
    single = replace(BOTH, public=(ONE,), own=frozenset({ONE}))
    assert error_of(answered(single, request(CHANGE_IP))[1]) == 420
    assert answered(single, request(CHANGE_PORT))[0] == Address(ONE, 3479)
    assert said(answered(single, request())[1], Attribute.OTHER_ADDRESS) == pack_address(Address(ONE, 3479))
    assert error_of(answered(Discovery(), request(CHANGE_PORT))[1]) == 420
    assert said(answered(Discovery(), request())[1], Attribute.OTHER_ADDRESS) is None
    assert error_of(answered(BOTH, request(CHANGE_PORT), CLIENT._replace(protocol="tcp"))[1]) == 420


def test_behind_one_to_one_nat_clients_hear_of_the_public_address() -> None:
    inside = CLIENT._replace(local=Address.of("10.0.0.5", 3478))
    cloud = Discovery(PORTS, (ONE, SIX), frozenset())
    source, message, _ = answered(cloud, request(CHANGE_PORT), inside)
    assert source == Address.of("10.0.0.5", 3479)
    assert said(message, Attribute.OTHER_ADDRESS) == pack_address(Address(ONE, 3479))
    assert said(answered(replace(cloud, public=(ONE, TWO)), request(), inside)[1], Attribute.OTHER_ADDRESS) is None


async def test_over_sockets_the_answer_comes_from_the_other_address_and_port() -> None:
    public = (ip_address("127.0.0.1"), ip_address("127.0.0.2"))
    async with TurnService(config(listen=(Address.parse("0.0.0.0:0"),), public_addresses=public)) as service:
        port = service.addresses[0].port
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            loop = asyncio.get_running_loop()
            for flags, host in ((None, "127.0.0.1"), (CHANGE_PORT, "127.0.0.1"), (CHANGE_IP | CHANGE_PORT, "127.0.0.2")):
                await loop.sock_sendto(sock, request(flags), ("127.0.0.1", port))
                async with asyncio.timeout(WITHIN):
                    data, source = await loop.sock_recvfrom(sock, 2048)
                assert codec.parse(data).message_class == Class.SUCCESS
                assert source[0] == host
                assert (source[1] == port) is (flags is None)


async def test_a_second_port_that_is_taken_is_a_warning_and_no_end(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        settings = {"listen": (Address.parse("127.0.0.1:0"),), "public_addresses": (ip_address("127.0.0.1"),)}
        async with TurnService(config(**settings, other_port=taken.getsockname()[1])) as service:
            assert service.addresses[0].port
    assert "no second UDP port" in caplog.text
