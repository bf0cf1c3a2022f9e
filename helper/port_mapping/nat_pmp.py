"""The messages of NAT-PMP, version 0 (RFC 6886). Pure.

Big-endian. Responses begin with version (1), 128 + opcode (1), result (2), epoch (4); then (section 3.2) the external
address (4), or (section 3.3) internal port (2), external port (2), lifetime (4).
"""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

VERSION = 0
EXTERNAL_ADDRESS, MAP_UDP = 0, 1
RESPONSE = 0x80
RESULTS = {
    1: "it speaks another version",
    2: "it does not allow it",
    3: "its line to the internet is down",
    4: "it has no room for another mapping",
    5: "it does not know this request",
}
_MAP = struct.Struct("!BBHHHI")
_HEAD, _IP, _MAPPED = struct.Struct("!BBHI"), struct.Struct("!4s"), struct.Struct("!HHI")


@dataclass(frozen=True, slots=True)
class Response:
    """A refusal, when nothing but this came. `epoch`: seconds since the router lost its mappings."""

    opcode: int
    result: int
    epoch: int


@dataclass(frozen=True, slots=True)
class ExternalAddress(Response):
    ip: IPv4Address


@dataclass(frozen=True, slots=True)
class Mapped(Response):
    """`lifetime` in seconds."""

    internal_port: int
    external_port: int
    lifetime: int


def ask_external_address() -> bytes:
    return bytes((VERSION, EXTERNAL_ADDRESS))


def map_udp(internal_port: int, external_port: int, lifetime: int) -> bytes:
    """Ask for a mapping, renew it, or take it back with external port and `lifetime` 0 (seconds; section 3.4)."""
    return _MAP.pack(VERSION, MAP_UDP, 0, internal_port, external_port, lifetime)


def parse(data: bytes) -> Response:
    """Read a response. Raises ValueError for anything else."""
    if len(data) < _HEAD.size:
        raise ValueError("a NAT-PMP response has at least 8 bytes")
    version, opcode, result, epoch = _HEAD.unpack_from(data)
    if version != VERSION or not opcode & RESPONSE:
        raise ValueError("it is no NAT-PMP response")
    opcode &= ~RESPONSE
    rest = data[_HEAD.size :]
    if result:
        return Response(opcode, result, epoch)
    if opcode == EXTERNAL_ADDRESS and len(rest) >= _IP.size:
        return ExternalAddress(opcode, result, epoch, IPv4Address(rest[: _IP.size]))
    if opcode == MAP_UDP and len(rest) >= _MAPPED.size:
        return Mapped(opcode, result, epoch, *_MAPPED.unpack_from(rest))
    raise ValueError("the NAT-PMP response is cut short")
