"""STUN messages and ChannelData as bytes (RFC 8489, sections 5 and 14; RFC 8656, sections 12.4 and 18). Pure.

Our own, and small: aioice's codec knows neither half of the TURN attributes nor bad input. A parsed message keeps its
attributes as raw bytes in order; the typed readers below raise ValueError for what does not fit.
"""

import hmac
import struct
import zlib
from dataclasses import dataclass, field
from enum import IntEnum

from protocol.stun import (
    FINGERPRINT_LENGTH,
    FINGERPRINT_XOR,
    HEADER_LENGTH,
    INTEGRITY_LENGTH,
    MAGIC_COOKIE,
    Attribute,
    is_stun,
    pack_attribute,
)

MAX_ATTRIBUTES = 128  # in one message; ours, so that no datagram keeps us busy

_HEADER = struct.Struct("!HH4s12s")
_ATTRIBUTE = struct.Struct("!HH")


class Method(IntEnum):
    BINDING = 0x001
    ALLOCATE = 0x003
    REFRESH = 0x004
    SEND = 0x006
    DATA = 0x007
    CREATE_PERMISSION = 0x008
    CHANNEL_BIND = 0x009


class Class(IntEnum):
    REQUEST = 0x000
    INDICATION = 0x010
    SUCCESS = 0x100
    ERROR = 0x110


REASONS = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    420: "Unknown Attribute",
    437: "Allocation Mismatch",
    438: "Stale Nonce",
    440: "Address Family not Supported",
    441: "Wrong Credentials",
    442: "Unsupported Transport Protocol",
    443: "Peer Address Family Mismatch",
    486: "Allocation Quota Reached",
    508: "Insufficient Capacity",
}


@dataclass(slots=True)
class Message:
    """A STUN message. `signed` is what MESSAGE-INTEGRITY covers, its header's length already as section 14.5 wants it."""

    method: int
    message_class: int
    transaction_id: bytes
    attributes: list[tuple[int, bytes]] = field(default_factory=list)
    integrity: bytes | None = None
    signed: bytes = b""

    def get(self, kind: Attribute) -> bytes | None:
        """The first value of this attribute; later ones don't count (RFC 8489, section 14)."""
        return next((value for found, value in self.attributes if found == kind), None)

    def all(self, kind: Attribute) -> list[bytes]:
        return [value for found, value in self.attributes if found == kind]

    def add(self, kind: Attribute, value: bytes) -> None:
        self.attributes.append((kind, value))


def parse(data: bytes) -> Message:
    """Read one whole message. What stands behind MESSAGE-INTEGRITY is ignored, but for FINGERPRINT.

    Raises:
        ValueError: it is not STUN, is cut short, has bytes left over, too many attributes or a wrong FINGERPRINT.
    """
    if not is_stun(data):
        raise ValueError("the datagram is no STUN message")
    kind, length, _, transaction_id = _HEADER.unpack_from(data)
    if len(data) != HEADER_LENGTH + length:
        raise ValueError("the STUN message's length is not the datagram's")
    message = Message(kind & 0x000F | (kind & 0x00E0) >> 1 | (kind & 0x3E00) >> 2, kind & 0x0110, transaction_id)
    position, count = HEADER_LENGTH, 0
    while position + 4 <= len(data):
        count += 1
        if count > MAX_ATTRIBUTES:
            raise ValueError("the STUN message has too many attributes")
        attribute, size = _ATTRIBUTE.unpack_from(data, position)
        value = data[position + 4 : position + 4 + size]
        if len(value) != size:
            raise ValueError("a STUN attribute reaches beyond its message")
        if attribute == Attribute.FINGERPRINT:
            _check_fingerprint(data, position, value)
            break
        if message.integrity is None:
            if attribute == Attribute.MESSAGE_INTEGRITY:
                message.integrity = value
                message.signed = _with_length(data[:position], position - HEADER_LENGTH + INTEGRITY_LENGTH)
            else:
                message.attributes.append((attribute, value))
        position += 4 + size + -size % 4
    return message


def _with_length(data: bytes, length: int) -> bytes:
    return data[:2] + length.to_bytes(2, "big") + data[4:]


def _check_fingerprint(data: bytes, position: int, value: bytes) -> None:
    if len(value) != 4 or position + FINGERPRINT_LENGTH != len(data):
        raise ValueError("FINGERPRINT is not the last attribute")
    if int.from_bytes(value, "big") != zlib.crc32(data[:position]) ^ FINGERPRINT_XOR:
        raise ValueError("the FINGERPRINT does not match")


def build(message: Message, key: bytes | None = None, *, fingerprint: bool = True) -> bytes:
    """Serialise; with a key MESSAGE-INTEGRITY is added, FINGERPRINT goes last."""
    method = message.method
    kind = method & 0x000F | (method & 0x0070) << 1 | (method & 0x0F80) << 2 | message.message_class
    body = b"".join([pack_attribute(attribute, value) for attribute, value in message.attributes])
    data = _HEADER.pack(kind, len(body), MAGIC_COOKIE, message.transaction_id) + body
    if key is not None:
        signed = _with_length(data, len(data) - HEADER_LENGTH + INTEGRITY_LENGTH)
        data = signed + pack_attribute(Attribute.MESSAGE_INTEGRITY, integrity_of(signed, key))
    if fingerprint:
        data = _with_length(data, len(data) - HEADER_LENGTH + FINGERPRINT_LENGTH)
        crc = zlib.crc32(data) ^ FINGERPRINT_XOR
        data += pack_attribute(Attribute.FINGERPRINT, crc.to_bytes(4, "big"))
    return data


def integrity_of(signed: bytes, key: bytes) -> bytes:
    """HMAC-SHA1 for MESSAGE-INTEGRITY."""
    return hmac.digest(key, signed, "sha1")


def pack_error(code: int) -> bytes:
    """ERROR-CODE: 21 zero bits, class, number, reason (section 14.8)."""
    return struct.pack("!HBB", 0, code // 100, code % 100) + REASONS[code].encode()


def unpack_integer(value: bytes) -> int:
    """A 32-bit number, as LIFETIME has it. Raises ValueError for another length."""
    if len(value) != 4:
        raise ValueError("the attribute is not four bytes long")
    return int.from_bytes(value, "big")


def pack_channel_data(channel: int, payload: bytes | memoryview, *, padded: bool = False) -> bytes:
    """Frame a datagram: channel (2 bytes), length (2 bytes), payload, on streams zeros up to 4 bytes."""
    head = _ATTRIBUTE.pack(channel, len(payload))
    return b"".join((head, payload, bytes(-len(payload) % 4))) if padded else head + payload


def parse_channel_data(data: bytes) -> tuple[int, bytes]:
    """Channel and payload; on UDP padding may follow (RFC 8656, section 12.5). Raises ValueError if it is cut short."""
    if len(data) < 4:
        raise ValueError("ChannelData has a header of four bytes")
    channel, length = _ATTRIBUTE.unpack_from(data)
    if len(data) < 4 + length:
        raise ValueError("ChannelData is shorter than its length says")
    return channel, data[4 : 4 + length]
