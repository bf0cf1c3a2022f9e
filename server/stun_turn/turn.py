"""A STUN and TURN server without I/O (RFC 8489, RFC 8656). Pure: bytes and the clock in, actions out.

    Allocate --OpenRelay--> relay_opened --> allocation --Refresh 0, expiry, disconnect--> CloseRelay
                  ^   |
    another port  +---+ relay_failed, then 508

ChannelData on a path (OpenPath, ClosePath) need not come through here: the sockets may carry it on their own.
"""

import random
from collections.abc import Callable

from protocol.addresses import Address, IPAddress
from protocol.stun import Attribute, pack_xor_address, unpack_xor_address
from server.stun_turn import codec
from server.stun_turn.actions import Action, ClosePath, CloseRelay, OpenPath, OpenRelay, SendToClient, SendToPeer
from server.stun_turn.allocations import (
    CHANNEL_LIFETIME,
    CHANNELS,
    MAX_CHANNELS,
    MAX_PERMISSIONS,
    PERMISSION_LIFETIME,
    Allocation,
    AllocationTable,
    Channel,
    ClientId,
    PortPool,
)
from server.stun_turn.answer_rate import AnswerRate
from server.stun_turn.authentication import Authentication, Request
from server.stun_turn.codec import Class, Message, Method
from server.stun_turn.config import TurnConfig
from server.stun_turn.discovery import SOFTWARE, Discovery
from server.stun_turn.peers import PeerPolicy
from server.stun_turn.requests import Refused, check_known, ip_version, lifetime_of, peers_of, unknown_attributes

PORTS_TRIED = 8  # relay ports that may turn out to be taken by others before we say 508; ours
MAX_PAYLOAD = 65000  # bytes in one Data indication
UDP_PROTOCOL = 17  # REQUESTED-TRANSPORT


class TurnServer:
    """`now` is the event loop's clock in seconds; `clock_offset` is Unix time minus that, set by the caller."""

    def __init__(self, config: TurnConfig, clock_offset: float = 0.0) -> None:
        self.clock_offset = clock_offset
        self.allocations = AllocationTable()
        self.discovery = Discovery()
        self._config = config
        self.policy = PeerPolicy(config)
        self._authentication = Authentication(config)
        self._answer_rate = AnswerRate()
        self._ports = {version: PortPool(*config.relay_ports) for version in (4, 6)}

    def handle(self, data: bytes, client: ClientId, now: float) -> list[Action]:
        """Take in one datagram or frame of a client. Garbage is dropped."""
        try:
            if data[:1] and data[0] & 0xC0 == 0x40:
                return self._channel_data(data, client, now)
            message = codec.parse(data)
        except ValueError:
            return []
        if message.message_class == Class.INDICATION:
            return self._send_indication(message, client, now) if message.method == Method.SEND else []
        if message.message_class != Class.REQUEST:
            return []
        try:
            if message.method == Method.BINDING:
                return self._binding(message, client) if self._answer_rate.allows(client, now) else []
            if message.method not in _HANDLERS:
                return []
            wall = now + self.clock_offset
            request = self._authentication.check(message, client, self.allocations.get(client), now, wall)
            try:
                check_known(message)
                return _HANDLERS[message.method](self, request, now)
            except ValueError:
                raise Refused(400, key=request.key) from None
            except Refused as refused:
                refused.key = request.key
                raise
        except Refused as refused:
            is_counted = refused.key is not None or message.method == Method.BINDING
            return [self._error(message, client, refused)] if is_counted or self._answer_rate.allows(client, now) else []

    def handle_relayed(self, allocation: Allocation, data: bytes, peer: Address, now: float) -> list[Action]:
        """Take in one datagram that a peer sent to a relayed address."""
        if not allocation.has_permission(peer.ip, now) or len(data) > MAX_PAYLOAD:
            return []
        number, client = allocation.numbers.get(peer), allocation.client
        if number is not None and allocation.channels[number].expires > now:
            return [SendToClient(client, codec.pack_channel_data(number, data, padded=client.is_stream))]
        message = Message(Method.DATA, Class.INDICATION, random.randbytes(12))
        message.add(Attribute.XOR_PEER_ADDRESS, pack_xor_address(peer, message.transaction_id))
        message.add(Attribute.DATA, data)
        return [SendToClient(client, codec.build(message, fingerprint=False))]

    def relay_opened(self, allocation: Allocation, now: float) -> list[Action]:
        """The relay socket is bound: the allocation exists from now on, and its client hears of it."""
        self._give_back_tried(allocation)
        allocation.expires = now + allocation.lifetime
        response = Message(Method.ALLOCATE, Class.SUCCESS, allocation.transaction_id)
        response.add(Attribute.XOR_RELAYED_ADDRESS, pack_xor_address(allocation.relayed, response.transaction_id))
        response.add(Attribute.XOR_MAPPED_ADDRESS, pack_xor_address(allocation.client.remote, response.transaction_id))
        response.add(Attribute.LIFETIME, allocation.lifetime.to_bytes(4, "big"))
        response.attributes += allocation.extra
        response.add(Attribute.SOFTWARE, SOFTWARE)
        allocation.response = codec.build(response, allocation.key)
        self.allocations.add(allocation)
        return [SendToClient(allocation.client, allocation.response)]

    def relay_failed(self, allocation: Allocation) -> list[Action]:
        """Something else holds that port: try another, in the end refuse."""
        pool = self._ports[allocation.relayed.ip.version]
        allocation.tried_ports.append(allocation.relayed.port)
        port = pool.take(even=allocation.relayed.port % 2 == 0) if len(allocation.tried_ports) < PORTS_TRIED else None
        if port is not None:
            allocation.relayed = Address(allocation.relayed.ip, port)
            return [OpenRelay(allocation)]
        self._give_back_tried(allocation)
        request = Message(Method.ALLOCATE, Class.REQUEST, allocation.transaction_id)
        return [self._error(request, allocation.client, Refused(508, key=allocation.key))]

    def disconnect(self, client: ClientId) -> list[Action]:
        """A stream has ended, and with it its allocation."""
        allocation = self.allocations.get(client)
        return self._delete(allocation) if allocation else []

    def expire(self, now: float) -> list[Action]:
        """Drop what has run out; call again by `next_deadline`."""
        actions: list[Action] = []
        for allocation in self.allocations.due(now):
            if allocation.expires <= now:
                actions += self._delete(allocation)
            else:
                allocation.forget_expired(now)
                actions += self._changed(allocation)
        return actions

    def bar(self, user_ids: frozenset[str]) -> list[Action]:
        """Serve these users no more, and all others: their allocations end now, their requests are forbidden from now on."""
        self._authentication.barred = user_ids
        ended = [allocation for allocation in self.allocations if allocation.user.user_id in user_ids]
        return [action for allocation in ended for action in self._delete(allocation)]

    def next_deadline(self) -> float | None:
        return self.allocations.next_deadline()

    # -- requests ------------------------------------------------------------------------------------------------------

    def _binding(self, message: Message, client: ClientId) -> list[Action]:
        check_known(message)
        answer = self.discovery.answer(message, client)
        if answer is None:
            raise Refused(420, (Attribute.UNKNOWN_ATTRIBUTES, Attribute.CHANGE_REQUEST.to_bytes(2, "big")))
        return [SendToClient(*answer)]

    def _allocate(self, request: Request, now: float) -> list[Action]:
        """RFC 8656, section 7.2."""
        message = request.message
        if existing := self.allocations.get(request.client):
            if existing.transaction_id == message.transaction_id and existing.key == request.key:
                return [SendToClient(request.client, existing.response)]
            raise Refused(437)
        transport = message.get(Attribute.REQUESTED_TRANSPORT)
        if transport is None or len(transport) != 4:
            raise ValueError("REQUESTED-TRANSPORT is missing")
        if transport[0] != UDP_PROTOCOL:
            raise Refused(442)
        even, token = message.get(Attribute.EVEN_PORT), message.get(Attribute.RESERVATION_TOKEN)
        family, additional = message.get(Attribute.REQUESTED_ADDRESS_FAMILY), message.get(Attribute.ADDITIONAL_ADDRESS_FAMILY)
        if (token is not None and (even is not None or family is not None)) or (additional is not None and family is not None):
            raise ValueError("these attributes exclude each other")
        version = ip_version(family) if family is not None else 4
        public = next((ip for ip in self._public_for(request.client) if ip.version == version), None)
        if public is None:
            raise Refused(440)
        is_full = self.allocations.held_by(request.user) >= self._config.user_quota
        if is_full and not request.user.user_id:
            raise Refused(486)
        reserve_next = even is not None and even[:1] >= b"\x80"
        full = len(self.allocations) >= self._config.total_quota
        port = None if full or token is not None or reserve_next else self._ports[version].take(even=even is not None)
        if port is None:
            raise Refused(508)
        allocation = Allocation(
            request.client, request.user, Address(public, port), lifetime_of(message), message.transaction_id, request.key
        )
        if additional is not None:  # one relayed address an allocation: the second is refused politely (section 18.11)
            allocation.extra.append((Attribute.ADDRESS_ERROR_CODE, b"\x02" + codec.pack_error(440)[1:]))
        return [*(self._delete(self.allocations.forsaken_by(request.user)) if is_full else []), OpenRelay(allocation)]

    def _refresh(self, request: Request, now: float) -> list[Action]:
        allocation = self._owned(request)
        family = request.message.get(Attribute.REQUESTED_ADDRESS_FAMILY)
        if family is not None and ip_version(family) != allocation.relayed.ip.version:
            raise Refused(443)
        asked = request.message.get(Attribute.LIFETIME)
        if asked is not None and codec.unpack_integer(asked) == 0:
            return [*self._delete(allocation), self._success(request, (Attribute.LIFETIME, bytes(4)))]
        lifetime = lifetime_of(request.message)
        allocation.expires = now + lifetime
        self.allocations.schedule(allocation)
        return [self._success(request, (Attribute.LIFETIME, lifetime.to_bytes(4, "big")))]

    def _create_permission(self, request: Request, now: float) -> list[Action]:
        allocation = self._owned(request)
        peers = peers_of(request.message)
        if not peers:
            raise ValueError("XOR-PEER-ADDRESS is missing")
        for peer in peers:
            self._check_peer(allocation, peer)
        if len(allocation.permissions.keys() | {peer.ip for peer in peers}) > MAX_PERMISSIONS:
            raise Refused(508)
        for peer in peers:
            allocation.permissions[peer.ip] = now + PERMISSION_LIFETIME
        return [*self._changed(allocation), self._success(request)]

    def _channel_bind(self, request: Request, now: float) -> list[Action]:
        """RFC 8656, section 12.2. The permission comes with it."""
        allocation = self._owned(request)
        number_value, peer_value = request.message.get(Attribute.CHANNEL_NUMBER), request.message.get(Attribute.XOR_PEER_ADDRESS)
        if number_value is None or peer_value is None:
            raise ValueError("CHANNEL-NUMBER or XOR-PEER-ADDRESS is missing")
        number = codec.unpack_integer(number_value) >> 16
        peer = unpack_xor_address(peer_value, request.message.transaction_id)
        bound = allocation.channels.get(number)
        if number not in CHANNELS or (bound and bound.peer != peer) or allocation.numbers.get(peer, number) != number:
            raise ValueError("the channel or the peer is bound otherwise")
        self._check_peer(allocation, peer)
        if not self.policy.reaches(peer):
            raise Refused(403)
        if bound is None and len(allocation.channels) >= MAX_CHANNELS:
            raise Refused(508)
        if peer.ip not in allocation.permissions and len(allocation.permissions) >= MAX_PERMISSIONS:
            raise Refused(508)
        allocation.channels[number] = Channel(peer, now + CHANNEL_LIFETIME)
        allocation.numbers[peer] = number
        allocation.permissions[peer.ip] = now + PERMISSION_LIFETIME
        return [*self._changed(allocation), self._success(request)]

    # -- data ----------------------------------------------------------------------------------------------------------

    def _send_indication(self, message: Message, client: ClientId, now: float) -> list[Action]:
        allocation = self.allocations.get(client)
        peer_value, data = message.get(Attribute.XOR_PEER_ADDRESS), message.get(Attribute.DATA)
        if allocation is None or peer_value is None or data is None or unknown_attributes(message):
            return []
        try:
            peer = unpack_xor_address(peer_value, message.transaction_id)
        except ValueError:
            return []
        return self._to_peer(allocation, peer, data, now)

    def _channel_data(self, data: bytes, client: ClientId, now: float) -> list[Action]:
        number, payload = codec.parse_channel_data(data)
        allocation = self.allocations.get(client)
        channel = allocation.channels.get(number) if allocation else None
        if allocation is None or channel is None or channel.expires <= now:
            return []
        return self._to_peer(allocation, channel.peer, payload, now)

    def _to_peer(self, allocation: Allocation, peer: Address, data: bytes, now: float) -> list[Action]:
        if not allocation.has_permission(peer.ip, now) or not self.policy.reaches(peer):
            return []
        return [SendToPeer(allocation, peer, data)]

    # -- helpers -------------------------------------------------------------------------------------------------------

    def _public_for(self, client: ClientId) -> list[IPAddress]:
        """Our public addresses, the one that the client itself uses first."""
        return sorted(self._config.public_addresses, key=lambda ip: ip != client.local.ip)

    def _owned(self, request: Request) -> Allocation:
        allocation = self.allocations.get(request.client)
        if allocation is None:
            raise Refused(437)
        if allocation.user.user_id != request.user.user_id:
            raise Refused(441)
        return allocation

    def _check_peer(self, allocation: Allocation, peer: Address) -> None:
        if peer.ip.version != allocation.relayed.ip.version:
            raise Refused(443)
        if not self.policy.permits(peer.ip):
            raise Refused(403)

    def _changed(self, allocation: Allocation) -> list[Action]:
        """Tell the sockets which paths came and went."""
        self.allocations.schedule(allocation)
        before, after = allocation.paths, allocation.wanted_paths()
        allocation.paths = after
        closed: list[Action] = [ClosePath(allocation, n, peer) for n, peer in before.items() if after.get(n) != peer]
        return closed + [OpenPath(allocation, n, peer) for n, peer in after.items() if before.get(n) != peer]

    def _delete(self, allocation: Allocation) -> list[Action]:
        self.allocations.remove(allocation)
        self._ports[allocation.relayed.ip.version].give_back(allocation.relayed.port)
        closed: list[Action] = [ClosePath(allocation, number, peer) for number, peer in allocation.paths.items()]
        allocation.clear()
        return [*closed, CloseRelay(allocation)]

    def _give_back_tried(self, allocation: Allocation) -> None:
        for port in allocation.tried_ports:
            self._ports[allocation.relayed.ip.version].give_back(port)
        allocation.tried_ports.clear()

    def _success(self, request: Request, *attributes: tuple[int, bytes]) -> SendToClient:
        response = Message(request.message.method, Class.SUCCESS, request.message.transaction_id, list(attributes))
        return SendToClient(request.client, codec.build(response, request.key))

    def _error(self, request: Message, client: ClientId, refused: Refused) -> SendToClient:
        response = Message(request.method, Class.ERROR, request.transaction_id)
        response.add(Attribute.ERROR_CODE, codec.pack_error(refused.code))
        response.attributes += refused.attributes
        return SendToClient(client, codec.build(response, refused.key))


_HANDLERS: dict[int, Callable[[TurnServer, Request, float], list[Action]]] = {
    Method.ALLOCATE: TurnServer._allocate,
    Method.REFRESH: TurnServer._refresh,
    Method.CREATE_PERMISSION: TurnServer._create_permission,
    Method.CHANNEL_BIND: TurnServer._channel_bind,
}
