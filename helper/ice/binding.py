"""STUN Binding messages of ICE (RFC 8489; RFC 8445, section 7). Pure.

They are read with aioice's codec and written by hand: with a hundred peers checks and answers leave many times a second, and
packing the few attributes that they have costs a fifth of the general way.
"""

import hmac
import secrets
import struct
from binascii import crc32
from dataclasses import dataclass

from aioice import stun

from protocol.addresses import Address
from protocol.stun import (
    FINGERPRINT_LENGTH,
    FINGERPRINT_XOR,
    HEADER_LENGTH,
    INTEGRITY_LENGTH,
    MAGIC_COOKIE,
    Attribute,
    is_stun,
    pack_attribute,
    pack_xor_address,
)

_REQUEST, _SUCCESS = 0x0001, 0x0101
_USERNAME, _XOR_MAPPED_ADDRESS = Attribute.USERNAME, Attribute.XOR_MAPPED_ADDRESS  # here, for reaching an enum's member is slow
_INTEGRITY, _FINGERPRINT = Attribute.MESSAGE_INTEGRITY, Attribute.FINGERPRINT
_PADDING = 0x0026  # RFC 5780, section 7.6
_PRIORITY, _USE_CANDIDATE, _CONTROLLED, _CONTROLLING = 0x0024, 0x0025, 0x8029, 0x802A  # RFC 8445, section 16.1


@dataclass(frozen=True, slots=True)
class Credentials:
    ufrag: str
    password: str

    def __repr__(self) -> str:
        return f"Credentials({self.ufrag!r}, ...)"


def parse(data: bytes) -> stun.Message:
    """Parse a STUN message. Raises ValueError for whatever is none."""
    if not is_stun(data):
        raise ValueError("the datagram is no STUN message")
    try:
        return stun.parse_message(data)
    except (ValueError, struct.error, IndexError, KeyError, UnicodeDecodeError):
        raise ValueError("the STUN message is malformed") from None


def plain_request() -> tuple[bytes, bytes]:
    """A Binding request for a STUN server: transaction id and datagram."""
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    message.add_fingerprint()
    return message.transaction_id, bytes(message)


def check(
    username: str,
    password: str,
    *,
    controlling: bool,
    tie_breaker: int,
    priority: int,
    use_candidate: bool,
    length: int = 0,
) -> tuple[bytes, bytes]:
    """A connectivity check: transaction id and datagram.

    Args:
        username: `theirs:ours`.
        password: theirs.
        length: bytes that the datagram is padded to, a multiple of 4; 0 for no padding.
    """
    transaction, name = secrets.token_bytes(12), username.encode()
    role = _CONTROLLING if controlling else _CONTROLLED
    body = pack_attribute(_USERNAME, name) + pack_attribute(role, struct.pack("!Q", tie_breaker))
    body += pack_attribute(_PRIORITY, struct.pack("!I", priority))
    if use_candidate:
        body += pack_attribute(_USE_CANDIDATE, b"")
    if length:
        body += pack_attribute(_PADDING, b"")
        rest = length - HEADER_LENGTH - len(body) - INTEGRITY_LENGTH - FINGERPRINT_LENGTH
        body = body[:-4] + pack_attribute(_PADDING, bytes(max(rest, 0)))
    return transaction, _signed(_REQUEST, transaction, body, password)


def success(request: stun.Message, source: Address, password: str) -> bytes:
    """The answer to a check from `source`, signed with our own password."""
    transaction = request.transaction_id
    mapped = pack_xor_address(source, transaction)
    return _signed(_SUCCESS, transaction, pack_attribute(_XOR_MAPPED_ADDRESS, mapped), password)


def _signed(kind: int, transaction: bytes, body: bytes, password: str) -> bytes:
    """Head, body, MESSAGE-INTEGRITY over the length up to itself, FINGERPRINT over the whole (sections 14.5 and 14.7)."""
    head = struct.pack("!HH", kind, len(body) + INTEGRITY_LENGTH) + MAGIC_COOKIE + transaction
    message = head + body + pack_attribute(_INTEGRITY, hmac.digest(password.encode(), head + body, "sha1"))
    message = message[:2] + struct.pack("!H", len(body) + INTEGRITY_LENGTH + FINGERPRINT_LENGTH) + message[4:]
    return message + pack_attribute(_FINGERPRINT, struct.pack("!I", crc32(message) ^ FINGERPRINT_XOR))


def is_authentic(message: stun.Message, password: str) -> bool:
    """Say whether the message was signed with this password."""
    return bool(message.check_message_integrity(password.encode()))


def mapped_address(message: stun.Message) -> Address | None:
    """What the other side saw us as, if the message says so."""
    found = message.attributes.get("XOR-MAPPED-ADDRESS") or message.attributes.get("MAPPED-ADDRESS")
    return Address.of(found[0], found[1]) if found else None
