"""STUN messages and ChannelData as a TURN client writes and reads them. Pure.

`aioice.stun` reads; what we write is built here, because a CreatePermission repeats an attribute and a Send indication
is on the data path before a channel is bound. Source: RFC 8489 and RFC 8656.
"""

import hmac
import ipaddress
import struct
from collections.abc import Sequence

from aioice import stun

from protocol.addresses import Address, IPAddress
from protocol.stun import HEADER_LENGTH, INTEGRITY_LENGTH, MAGIC_COOKIE, Attribute, pack_attribute, pack_xor_address

UDP = b"\x11\x00\x00\x00"  # REQUESTED-TRANSPORT: protocol 17
IPV6_FAMILY = b"\x02\x00\x00\x00"  # REQUESTED-ADDRESS-FAMILY
SEND_INDICATION = 0x0016
_XOR_PEER_ADDRESS, _DATA = Attribute.XOR_PEER_ADDRESS, Attribute.DATA  # here, for reaching an enum's member is slow

Attributes = Sequence[tuple[int, bytes]]


def build(method: int, transaction_id: bytes, attributes: Attributes, key: bytes | None = None) -> bytes:
    """Write a request; with a key MESSAGE-INTEGRITY goes last. Source: RFC 8489, sections 5 and 14.5."""
    body = b"".join([pack_attribute(kind, value) for kind, value in attributes])
    if key is None:
        return struct.pack("!HH", method, len(body)) + MAGIC_COOKIE + transaction_id + body
    signed = struct.pack("!HH", method, len(body) + INTEGRITY_LENGTH) + MAGIC_COOKIE + transaction_id + body
    return signed + pack_attribute(Attribute.MESSAGE_INTEGRITY, hmac.digest(key, signed, "sha1"))


def build_send_indication(transaction_id: bytes, peer: Address, data: bytes) -> bytes:
    """Wrap a datagram to a peer for whom no channel is bound. Source: RFC 8656, section 11.1."""
    return build(SEND_INDICATION, transaction_id, ((_XOR_PEER_ADDRESS, pack_xor_address(peer, transaction_id)), (_DATA, data)))


def parse(data: bytes) -> stun.Message:
    """Read a STUN message of RFC 8489. Raises ValueError, and nothing else, whatever the bytes are."""
    if len(data) < HEADER_LENGTH or data[0] & 0xC0 or data[4:8] != MAGIC_COOKIE:
        raise ValueError("this is no STUN message")
    try:
        return stun.parse_message(data)
    except struct.error:
        raise ValueError("an attribute of the STUN message is cut off") from None


def address_of(message: stun.Message, name: str) -> Address | None:
    """A transport address attribute, or None if the message has none of that name."""
    value = message.attributes.get(name)
    return Address(ipaddress.ip_address(value[0]), value[1]) if value is not None else None


def error_of(message: stun.Message) -> int:
    """The error code of an error response, 300 to 699; 0 if it has none."""
    value = message.attributes.get("ERROR-CODE")
    return int(value[0]) if value is not None else 0


def peer_attribute(ip: IPAddress, transaction_id: bytes) -> tuple[int, bytes]:
    """XOR-PEER-ADDRESS for a permission: permissions are for addresses, the port is ignored."""
    return _XOR_PEER_ADDRESS, pack_xor_address(Address(ip, 0), transaction_id)
