"""STUN Binding messages of ICE (RFC 8489; RFC 8445, section 7), on aioice's codec. Pure."""

import struct

from aioice import stun

from protocol.addresses import Address

COOKIE = b"\x21\x12\xa4\x42"
HEADER_LENGTH = 20


def looks_like_stun(data: bytes | memoryview) -> bool:
    """Say whether a datagram can be STUN: first two bits zero, magic cookie (RFC 7983, section 7). WireGuard never does.

    A WireGuard handshake whose random index equals the cookie begins 01 00 00 00, a type and length that STUN never has.
    """
    return len(data) >= HEADER_LENGTH and data[0] < 0x40 and data[4:8] == COOKIE and data[:4] != b"\x01\x00\x00\x00"


def parse(data: bytes) -> stun.Message:
    """Parse a STUN message. Raises ValueError for whatever is none."""
    if not looks_like_stun(data):
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
    username: str, password: str, *, controlling: bool, tie_breaker: int, priority: int, use_candidate: bool
) -> tuple[bytes, bytes]:
    """A connectivity check: transaction id and datagram. `username` is `theirs:ours`, `password` theirs."""
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    message.attributes["USERNAME"] = username
    message.attributes["ICE-CONTROLLING" if controlling else "ICE-CONTROLLED"] = tie_breaker
    message.attributes["PRIORITY"] = priority
    if use_candidate:
        message.attributes["USE-CANDIDATE"] = None
    message.add_message_integrity(password.encode())
    return message.transaction_id, bytes(message)


def success(request: stun.Message, source: Address, password: str) -> bytes:
    """The answer to a check from `source`, signed with our own password."""
    message = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, request.transaction_id)
    message.attributes["XOR-MAPPED-ADDRESS"] = (source.host, source.port)
    message.add_message_integrity(password.encode())
    return bytes(message)


def is_authentic(message: stun.Message, password: str) -> bool:
    """Say whether the message was signed with this password."""
    return bool(message.check_message_integrity(password.encode()))


def mapped_address(message: stun.Message) -> Address | None:
    """What the other side saw us as, if the message says so."""
    found = message.attributes.get("XOR-MAPPED-ADDRESS") or message.attributes.get("MAPPED-ADDRESS")
    return Address.of(found[0], found[1]) if found else None
