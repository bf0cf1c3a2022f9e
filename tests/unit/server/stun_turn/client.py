"""A TURN client for tests: builds requests, reads answers; one that talks to the core alone, one over sockets."""

import asyncio
import os
import socket
import time
from ipaddress import ip_address
from typing import Any, Self

from protocol.addresses import Address
from protocol.stun import Attribute, long_term_key, pack_xor_address, unpack_xor_address
from server.stun_turn import TurnConfig, codec
from server.stun_turn.actions import Action, OpenRelay, SendToClient
from server.stun_turn.allocations import Allocation, ClientId
from server.stun_turn.codec import Class, Message, Method
from server.stun_turn.credentials import Credentials, make_credentials
from server.stun_turn.turn import TurnServer

SECRET, REALM = "turn-secret", "covey"
PUBLIC = ip_address("203.0.113.1")
PEER = Address.of("198.51.100.7", 5000)
UDP = (Attribute.REQUESTED_TRANSPORT, b"\x11\0\0\0")
WITHIN = 20.0  # seconds, generous


def config(**changes: Any) -> TurnConfig:
    settings: dict[str, Any] = {
        "secret": SECRET,
        "listen": (Address.of("203.0.113.1", 3478),),
        "public_addresses": (PUBLIC,),
        "relay_ports": (50000, 50099),
    }
    return TurnConfig(**(settings | changes))


Given = tuple[int, bytes | Address]  # an attribute; addresses are packed when the transaction id is known


def peer_attribute(peer: Address) -> Given:
    return Attribute.XOR_PEER_ADDRESS, peer


def indication(peer: Address, data: bytes) -> bytes:
    address = (Attribute.XOR_PEER_ADDRESS, pack_xor_address(peer, bytes(12)))
    return codec.build(Message(Method.SEND, Class.INDICATION, bytes(12), [address, (Attribute.DATA, data)]))


def channel_attribute(number: int) -> Given:
    return Attribute.CHANNEL_NUMBER, number.to_bytes(2, "big") + bytes(2)


def signed(method: Method, attributes: tuple[Given, ...], login: Credentials, nonce: bytes, tid: bytes) -> bytes:
    message = Message(method, Class.REQUEST, tid)
    for kind, value in attributes:
        message.attributes.append((kind, pack_xor_address(value, tid) if isinstance(value, Address) else value))
    message.add(Attribute.USERNAME, login.username.encode())
    message.add(Attribute.REALM, REALM.encode())
    message.add(Attribute.NONCE, nonce)
    return codec.build(message, long_term_key(login.username, REALM, login.password))


def error_of(message: Message) -> int:
    """The error code, 0 for success."""
    value = message.get(Attribute.ERROR_CODE)
    return value[2] * 100 + value[3] if value else 0


def relayed_of(message: Message) -> Address:
    value = message.get(Attribute.XOR_RELAYED_ADDRESS)
    assert value is not None
    return unpack_xor_address(value, message.transaction_id)


class CoreClient:
    """Talks to the core with a clock of its own; relays open when asked for."""

    def __init__(self, server: TurnServer, user: str = "alice", port: int = 40000, protocol: str = "udp") -> None:
        self.server = server
        self.id = ClientId(protocol, Address.of("192.0.2.10", port), Address.of("203.0.113.1", 3478))
        self.login = make_credentials(SECRET, user, 3600, 0.0)
        self.nonce = b""
        self.actions: list[Action] = []
        self.relay_opens = True

    def send(self, data: bytes, now: float) -> list[Message]:
        """Hand in bytes; the answers to us. `actions` keeps all that the core wanted."""
        self.actions = self.server.handle(data, self.id, now)
        for action in self.actions:
            if isinstance(action, OpenRelay):
                opened = self.server.relay_opened(action.allocation, now) if self.relay_opens else None
                self.actions += self.server.relay_failed(action.allocation) if opened is None else opened
        return [codec.parse(action.data) for action in self.actions if isinstance(action, SendToClient)]

    def challenge(self, now: float = 0.0) -> None:
        """Get a nonce."""
        [answer] = self.send(codec.build(Message(Method.REFRESH, Class.REQUEST, os.urandom(12))), now)
        self.nonce = answer.get(Attribute.NONCE) or b""

    def request(self, method: Method, *attributes: Given, now: float = 0.0) -> Message:
        if not self.nonce:
            self.challenge(now)
        [answer] = self.send(signed(method, attributes, self.login, self.nonce, os.urandom(12)), now)
        return answer

    def error(self, method: Method, *attributes: Given, now: float = 0.0) -> int:
        return error_of(self.request(method, *attributes, now=now))

    def allocate(self, now: float = 0.0) -> Address:
        return relayed_of(self.request(Method.ALLOCATE, UDP, now=now))

    @property
    def allocation(self) -> Allocation:
        found = self.server.allocations.get(self.id)
        assert found is not None
        return found


class SocketClient:
    """Talks to a running server over UDP or a stream."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.login = make_credentials(SECRET, os.urandom(4).hex(), 3600, time.time())
        self.nonce = b""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.sock.close()

    @classmethod
    def udp(cls, server: Address) -> Self:
        sock = socket.socket(socket.AF_INET6 if server.is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.connect((server.host, server.port))
        return cls(sock)

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def receive(self) -> bytes:
        async with asyncio.timeout(WITHIN):
            return await asyncio.get_running_loop().sock_recv(self.sock, 65536)

    async def exchange(self, data: bytes) -> Message:
        await self.send(data)
        return codec.parse(await self.receive())

    async def request(self, method: Method, *attributes: Given) -> Message:
        if not self.nonce:
            challenge = await self.exchange(codec.build(Message(method, Class.REQUEST, os.urandom(12))))
            assert error_of(challenge) == 401
            self.nonce = challenge.get(Attribute.NONCE) or b""
        return await self.exchange(signed(method, attributes, self.login, self.nonce, os.urandom(12)))

    async def allocate(self) -> Address:
        return relayed_of(await self.request(Method.ALLOCATE, UDP))

    async def bind_channel(self, number: int, peer: Address) -> None:
        answer = await self.request(Method.CHANNEL_BIND, channel_attribute(number), peer_attribute(peer))
        assert error_of(answer) == 0
