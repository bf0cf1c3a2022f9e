"""What requests say, read strictly, and how they are refused. Pure."""

from protocol.addresses import Address
from protocol.stun import Attribute, unpack_xor_address
from server.stun_turn import codec
from server.stun_turn.allocations import DEFAULT_LIFETIME, MAX_LIFETIME
from server.stun_turn.codec import Message

KNOWN = frozenset(Attribute)


class Refused(Exception):
    """The answer is this error. With a key it is signed: whoever asked had shown who it is."""

    def __init__(self, code: int, *attributes: tuple[int, bytes], key: bytes | None = None) -> None:
        super().__init__(code)
        self.code, self.attributes, self.key = code, attributes, key


def ip_version(family: bytes) -> int:
    """REQUESTED-ADDRESS-FAMILY and its kin: 1 is IPv4, 2 is IPv6. Raises ValueError for a wrong length, or Refused."""
    if len(family) != 4:
        raise ValueError("an address family is four bytes")
    if family[0] not in (1, 2):
        raise Refused(440)
    return 4 if family[0] == 1 else 6


def peers_of(message: Message) -> list[Address]:
    """All XOR-PEER-ADDRESS. Raises ValueError."""
    return [unpack_xor_address(value, message.transaction_id) for value in message.all(Attribute.XOR_PEER_ADDRESS)]


def lifetime_of(message: Message) -> int:
    """What we grant, in seconds: never less than the default, never more than an hour (RFC 8656, section 7.2)."""
    asked = message.get(Attribute.LIFETIME)
    return min(max(codec.unpack_integer(asked) if asked is not None else 0, DEFAULT_LIFETIME), MAX_LIFETIME)


def unknown_attributes(message: Message) -> list[int]:
    """Those that must be understood and are not."""
    return [kind for kind, _ in message.attributes if kind < 0x8000 and kind not in KNOWN]


def check_known(message: Message) -> None:
    """Raises Refused, which names what we don't know."""
    if unknown := unknown_attributes(message):
        raise Refused(420, (Attribute.UNKNOWN_ATTRIBUTES, b"".join(kind.to_bytes(2, "big") for kind in unknown)))
