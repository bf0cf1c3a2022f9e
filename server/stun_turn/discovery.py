"""From where the server may answer besides the address that was asked, so that clients learn what NAT they are behind. Pure.

RFC 5780: a second port, and where the machine has two public IPv4 addresses, the other of them. An answer always goes to whoever
asked and is at most some 70 bytes larger than the question, so that nobody gains by asking in another's name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from protocol.addresses import Address, IPAddress
from protocol.stun import CHANGE_IP, CHANGE_PORT, Attribute, pack_address, pack_xor_address
from server.stun_turn import codec
from server.stun_turn.allocations import ClientId
from server.stun_turn.codec import Class, Message

SOFTWARE = b"Covey"


@dataclass(frozen=True, slots=True)
class Discovery:
    """Args:
    ports: the other port of each (IP version, port), both ways.
    public: what clients reach us at.
    own: those of them that are this machine's: it can send from there.
    """

    ports: Mapping[tuple[int, int], int] = field(default_factory=dict)
    public: tuple[IPAddress, ...] = ()
    own: frozenset[IPAddress] = frozenset()

    def answer(self, request: Message, client: ClientId) -> tuple[ClientId, bytes] | None:
        """The answer to a Binding request, and from where it leaves; None if it asks for what we can't do.

        Source: RFC 8489, section 3, and RFC 5780, section 6.1.
        """
        local, change = client.local, request.get(Attribute.CHANGE_REQUEST)
        if change is not None:
            source = None if client.is_stream or len(change) != 4 else self.source(local, change[3])
            if source is None:
                return None
            local = source
        response = Message(request.method, Class.SUCCESS, request.transaction_id)
        response.add(Attribute.XOR_MAPPED_ADDRESS, pack_xor_address(client.remote, request.transaction_id))
        origin, other = self.origin(local), self.other(client.local)
        if origin is not None and other is not None and not client.is_stream:
            response.add(Attribute.RESPONSE_ORIGIN, pack_address(origin))
            response.add(Attribute.OTHER_ADDRESS, pack_address(other))
        else:
            response.add(Attribute.SOFTWARE, SOFTWARE)  # not beside the others: strangers get no larger answer than they need
        return client._replace(local=local), codec.build(response)

    def origin(self, local: Address) -> Address | None:
        """As whom clients see us when we send from this local address: RESPONSE-ORIGIN. None where it can't be told."""
        if local.ip in self.public:
            return local
        family = self._family(local)
        return Address(family[0], local.port) if len(family) == 1 else None  # 1:1 NAT, or a wildcard

    def other(self, local: Address) -> Address | None:
        """Where both address and port are the others: OTHER-ADDRESS. With one public address it differs by the port alone."""
        origin, port = self.origin(local), self.ports.get((local.ip.version, local.port))
        if origin is None or port is None:
            return None
        return Address(self._other_ip(local) or origin.ip, port)

    def source(self, local: Address, flags: int) -> Address | None:
        """The local address to answer from, by the flags of CHANGE-REQUEST; None for what we can't do."""
        ip: IPAddress | None = self._other_ip(local) if flags & CHANGE_IP else local.ip
        port = self.ports.get((local.ip.version, local.port)) if flags & CHANGE_PORT else local.port
        return None if ip is None or port is None else Address(ip, port)

    def _other_ip(self, local: Address) -> IPAddress | None:
        if local.ip not in self.own:
            return None
        return next((ip for ip in self._family(local) if ip != local.ip and ip in self.own), None)

    def _family(self, local: Address) -> list[IPAddress]:
        return [ip for ip in self.public if ip.version == local.ip.version]
