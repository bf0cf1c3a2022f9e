"""The messages of the Port Control Protocol, version 2 (RFC 6887). Pure.

A request and a response begin with 24 bytes, big-endian (sections 7.1 and 7.2):

    version (1), response bit and opcode (1), reserved (2), lifetime (4), our address (16)
    version (1), response bit and opcode (1), reserved (1), result (1), lifetime (4), epoch (4), reserved (12)

MAP goes on with 36 (section 11.1): nonce (12), protocol (1), reserved (3), internal port (2), external port (2),
external address (16). IPv4 addresses are written as IPv4-mapped IPv6 addresses.
"""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

VERSION = 2
ANNOUNCE, MAP = 0, 1
RESPONSE = 0x80
UDP = 17
NONCE = 12  # bytes
MAX_MESSAGE = 1100  # bytes (section 7)
SUCCESS, UNSUPPORTED_VERSION = 0, 1
RESULTS = {
    1: "it speaks another version",
    2: "it does not allow it",
    3: "it found the request malformed",
    4: "it does not know this request",
    5: "it does not know an option",
    6: "it found an option malformed",
    7: "its line to the internet is down",
    8: "it has no room for another mapping",
    9: "it does not map UDP",
    10: "this machine has too many mappings",
    11: "the outer address and port are not to be had",
    12: "there is another router in between",
    13: "it allows no more remote peers",
}
_REQUEST, _RESPONSE = struct.Struct("!BBHI16s"), struct.Struct("!BBBBII12x")
_MAP = struct.Struct("!12sB3xHH16s")


@dataclass(frozen=True, slots=True)
class Response:
    """An answer to ANNOUNCE, or one that failed before the MAP part was read.

    Attributes:
        lifetime: seconds; of an error, how long it is likely to stand.
        epoch: seconds since the server lost its mappings.
    """

    opcode: int
    result: int
    lifetime: int
    epoch: int


@dataclass(frozen=True, slots=True)
class MapResponse(Response):
    nonce: bytes
    internal_port: int
    external_port: int
    external_ip: IPv4Address


def announce(base: IPv4Address) -> bytes:
    """Ask whether the router speaks PCP, and for its epoch (section 14.1)."""
    return _REQUEST.pack(VERSION, ANNOUNCE, 0, 0, _mapped(base))


def map_udp(base: IPv4Address, nonce: bytes, internal_port: int, external_port: int, lifetime: int) -> bytes:
    """Ask for a mapping, renew it, or take it back with `lifetime` 0 (seconds). The external port is a wish; 0 leaves it open."""
    body = _MAP.pack(nonce, UDP, internal_port, external_port, _mapped(IPv4Address(0)))
    return _REQUEST.pack(VERSION, MAP, 0, lifetime, _mapped(base)) + body


def parse(data: bytes) -> Response:
    """Read a response. Raises ValueError for anything else."""
    if not _RESPONSE.size <= len(data) <= MAX_MESSAGE or len(data) % 4:
        raise ValueError("a PCP response has 24 to 1100 bytes, in fours")
    version, opcode, _, result, lifetime, epoch = _RESPONSE.unpack_from(data)
    if version != VERSION or not opcode & RESPONSE:
        raise ValueError("it is no PCP response")
    opcode &= ~RESPONSE
    if opcode != MAP or (result != SUCCESS and len(data) < _RESPONSE.size + _MAP.size):
        return Response(opcode, result, lifetime, epoch)
    if len(data) < _RESPONSE.size + _MAP.size:
        raise ValueError("a PCP response to MAP has at least 60 bytes")
    nonce, protocol, internal, external, address = _MAP.unpack_from(data, _RESPONSE.size)
    if protocol != UDP:
        raise ValueError("the mapping is not one of UDP")
    ip = IPv6Address(address).ipv4_mapped or IPv4Address(0)
    return MapResponse(opcode, result, lifetime, epoch, nonce, internal, external, ip)


def is_refusal_of_version(data: bytes) -> bool:
    """Say whether a router refuses PCP itself, as one does that knows only NAT-PMP (RFC 6886, section 3.5)."""
    return len(data) >= 4 and data[0] != VERSION and bool(data[1] & RESPONSE) and data[3] == UNSUPPORTED_VERSION


def _mapped(ip: IPv4Address) -> bytes:
    return b"\0" * 10 + b"\xff\xff" + ip.packed
