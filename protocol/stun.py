"""What both ends of STUN and TURN must agree on: what makes a datagram STUN, and how attributes are written. Pure."""

import hashlib
import ipaddress
import struct
from enum import IntEnum

from protocol.addresses import Address

HEADER_LENGTH = 20  # bytes: type, length, magic cookie, transaction id (RFC 8489, section 5)
MAGIC_COOKIE = bytes.fromhex("2112a442")
INTEGRITY_LENGTH = 24  # bytes of MESSAGE-INTEGRITY with its own header (RFC 8489, section 14.5)
FINGERPRINT_LENGTH = 8
FINGERPRINT_XOR = 0x5354554E  # RFC 8489, section 14.7

_attribute_header, _address_header = struct.Struct("!HH"), struct.Struct("!BBH")
_cookie = int.from_bytes(MAGIC_COOKIE, "big")


class Attribute(IntEnum):
    """Attributes of STUN and TURN (RFC 8489, section 18.3; RFC 8656, section 18; RFC 5780, section 7).

    Those of ICE are no server's business.
    """

    MAPPED_ADDRESS = 0x0001
    CHANGE_REQUEST = 0x0003
    USERNAME = 0x0006
    MESSAGE_INTEGRITY = 0x0008
    ERROR_CODE = 0x0009
    UNKNOWN_ATTRIBUTES = 0x000A
    CHANNEL_NUMBER = 0x000C
    LIFETIME = 0x000D
    XOR_PEER_ADDRESS = 0x0012
    DATA = 0x0013
    REALM = 0x0014
    NONCE = 0x0015
    XOR_RELAYED_ADDRESS = 0x0016
    REQUESTED_ADDRESS_FAMILY = 0x0017
    EVEN_PORT = 0x0018
    REQUESTED_TRANSPORT = 0x0019
    DONT_FRAGMENT = 0x001A
    XOR_MAPPED_ADDRESS = 0x0020
    RESERVATION_TOKEN = 0x0022
    PADDING = 0x0026
    # 0x8000 and up may be ignored by whoever does not know them
    ADDITIONAL_ADDRESS_FAMILY = 0x8000
    ADDRESS_ERROR_CODE = 0x8001
    SOFTWARE = 0x8022
    FINGERPRINT = 0x8028
    RESPONSE_ORIGIN = 0x802B
    OTHER_ADDRESS = 0x802C


CHANGE_PORT, CHANGE_IP = 0x2, 0x4  # flags of CHANGE-REQUEST (RFC 5780, section 7.2)


def is_stun(data: bytes | memoryview) -> bool:
    """Say whether the first bytes can be a STUN message: two zero bits, whole words, the magic cookie (RFC 8489, section 5).

    WireGuard's messages have random bytes where the cookie stands, but a zero second byte, which no method of ours gives.
    """
    return len(data) >= HEADER_LENGTH and data[1] != 0 and data[0] < 0x40 and data[3] & 3 == 0 and data[4:8] == MAGIC_COOKIE


def pack_attribute(kind: int, value: bytes) -> bytes:
    """Type, length, value, zeros up to 4 bytes (RFC 8489, section 14)."""
    return _attribute_header.pack(kind, len(value)) + value + bytes(-len(value) % 4)


def pack_xor_address(address: Address, transaction_id: bytes) -> bytes:
    """The value of an XOR-...-ADDRESS: zero, family (1: IPv4, 2: IPv6), port XOR cookie, IP XOR cookie and transaction id.

    Source: RFC 8489, section 14.2.
    """
    ip, port = address
    if ip.version == 4:
        return _address_header.pack(0, 1, port ^ _cookie >> 16) + (int(ip) ^ _cookie).to_bytes(4, "big")
    masked = int(ip) ^ int.from_bytes(MAGIC_COOKIE + transaction_id, "big")
    return _address_header.pack(0, 2, port ^ _cookie >> 16) + masked.to_bytes(16, "big")


def unpack_xor_address(value: bytes, transaction_id: bytes) -> Address:
    """Raises ValueError for an unknown family or a wrong length."""
    family, port, number = value[1:2], int.from_bytes(value[2:4], "big") ^ _cookie >> 16, int.from_bytes(value[4:], "big")
    if len(value) == 8 and family == b"\x01":
        return Address(ipaddress.IPv4Address(number ^ _cookie), port)
    if len(value) == 20 and family == b"\x02":
        return Address(ipaddress.IPv6Address(number ^ int.from_bytes(MAGIC_COOKIE + transaction_id, "big")), port)
    raise ValueError("the address attribute is neither IPv4 nor IPv6")


def pack_address(address: Address) -> bytes:
    """The value of MAPPED-ADDRESS and its kin: zero, family (1: IPv4, 2: IPv6), port, IP (RFC 8489, section 14.1)."""
    return _address_header.pack(0, 2 if address.is_ipv6 else 1, address.port) + address.ip.packed


def long_term_key(username: str, realm: str, password: str) -> bytes:
    """The key of MESSAGE-INTEGRITY with long-term credentials (RFC 8489, section 9.2.2; MD5 is its default)."""
    return hashlib.md5(f"{username}:{realm}:{password}".encode(), usedforsecurity=False).digest()
