"""What a new connection wants, read from its first bytes. Pure.

0x00..0x03  STUN with the magic cookie       -> TURN over TCP     (RFC 8489, section 5)
0x16        TLS ClientHello, by its ALPN     -> gRPC: h2 and not http/1.1 (gRPC clients offer only h2)
                                                TURN: stun.turn (RFC 7443), or no ALPN at all
                                                web:  all others (browsers and curl offer h2 and http/1.1)
"PRI * "    HTTP/2 with prior knowledge      -> gRPC without TLS  (RFC 9113, section 3.4)
"GET " ...  HTTP/1                           -> web without TLS
"""

import enum
import struct
from dataclasses import dataclass

from protocol.stun import MAGIC_COOKIE

HANDSHAKE, CLIENT_HELLO = 0x16, 0x01  # RFC 8446, sections 5.1 and 4
EXTENSION_ALPN = 16  # RFC 7301, section 3.1
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n"
HTTP1_METHODS = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"PATCH ", b"DELETE ", b"OPTIONS ", b"CONNECT ", b"TRACE ")
MAX_CLIENT_HELLO = 16384  # bytes; ours: hellos with post-quantum key shares have about 2 kB


class Route(enum.Enum):
    TLS_GRPC = "gRPC over TLS"
    TLS_WEB = "web over TLS"
    TLS_TURN = "TURN over TLS"
    PLAIN_GRPC = "gRPC without TLS"
    PLAIN_WEB = "web without TLS"
    PLAIN_TURN = "TURN over TCP"
    UNKNOWN = "no protocol of ours"


@dataclass(frozen=True, slots=True)
class NeedMore:
    """Nothing to say yet: ask again when there are at least this many bytes, counted from the first."""

    at_least: int


class _Incomplete(Exception):
    """The ClientHello goes on: `args[0]` is the least number of bytes that would help."""


def classify(first_bytes: bytes) -> Route | NeedMore:
    """Say where a connection belongs, or how many bytes it takes to know more. Raises nothing, whatever the bytes."""
    if not first_bytes:
        return NeedMore(1)
    if first_bytes[0] == HANDSHAKE:
        return _classify_tls(first_bytes)
    if first_bytes[0] <= 0x03:
        return _classify_stun(first_bytes)
    if _may_begin(HTTP2_PREFACE, first_bytes):
        return Route.PLAIN_GRPC if len(first_bytes) >= len(HTTP2_PREFACE) else NeedMore(len(HTTP2_PREFACE))
    for method in HTTP1_METHODS:
        if _may_begin(method, first_bytes):
            return Route.PLAIN_WEB if len(first_bytes) >= len(method) else NeedMore(len(first_bytes) + 1)
    return Route.UNKNOWN


def _may_begin(whole: bytes, first_bytes: bytes) -> bool:
    length = min(len(whole), len(first_bytes))
    return whole[:length] == first_bytes[:length]


def _classify_stun(first_bytes: bytes) -> Route | NeedMore:
    if not MAGIC_COOKIE.startswith(first_bytes[4:8]):
        return Route.UNKNOWN
    return Route.PLAIN_TURN if len(first_bytes) >= 8 else NeedMore(8)


def _classify_tls(first_bytes: bytes) -> Route | NeedMore:
    try:
        protocols = offered_protocols(_client_hello(first_bytes))
    except _Incomplete as incomplete:
        return NeedMore(incomplete.args[0])
    except (ValueError, struct.error):
        return Route.UNKNOWN
    if not protocols or b"stun.turn" in protocols:
        return Route.TLS_TURN
    if b"h2" in protocols and b"http/1.1" not in protocols:
        return Route.TLS_GRPC
    return Route.TLS_WEB


def _client_hello(data: bytes) -> bytes:
    """The body of the ClientHello, put together from its TLS records.

    Layout of a record: type (1 byte), version (2), length (2), fragment. Of the handshake message in the fragments:
    type (1), length (3), body. Raises ValueError if it is none, _Incomplete if its end is not there yet.
    """
    message, at = b"", 0
    while True:
        header = data[at : at + 5]
        if header[:1] not in (b"", b"\x16") or header[1:2] not in (b"", b"\x03"):
            raise ValueError("no TLS handshake record")
        if len(header) < 5:
            raise _Incomplete(at + 5)
        (length,) = struct.unpack_from("!H", header, 3)
        if not 1 <= length <= MAX_CLIENT_HELLO:
            raise ValueError("a TLS record of no length that a hello has")
        message += data[at + 5 : at + 5 + length]
        if message[0:1] not in (b"", b"\x01"):
            raise ValueError("no ClientHello")
        if len(message) >= 4:
            wanted = int.from_bytes(message[1:4], "big")
            if wanted > MAX_CLIENT_HELLO:
                raise ValueError("the ClientHello is too long")
            if len(message) >= 4 + wanted:
                return message[4 : 4 + wanted]
        at += 5 + length
        if at > len(data):
            raise _Incomplete(at)
        if at > 2 * MAX_CLIENT_HELLO:  # records of one byte each
            raise ValueError("the ClientHello comes in too many pieces")


def offered_protocols(hello: bytes) -> tuple[bytes, ...]:
    """The ALPN names that a ClientHello offers; none if it has no such extension.

    Layout (RFC 8446, section 4.1.2): version (2 bytes), random (32), session id (1-byte length), cipher suites (2-byte
    length), compression methods (1-byte length), extensions (2-byte length), each of type (2) and data (2-byte length).
    ALPN's data (RFC 7301, section 3.1): a list (2-byte length) of names (1-byte length). Raises ValueError or struct.error.
    """
    at = 34
    at = _end(hello, at + 1 + hello[at] if at < len(hello) else at + 1)
    at = _end(hello, at + 2 + struct.unpack_from("!H", hello, at)[0])
    at = _end(hello, at + 1 + hello[at] if at < len(hello) else at + 1)
    if at == len(hello):
        return ()
    end = _end(hello, at + 2 + struct.unpack_from("!H", hello, at)[0])
    at += 2
    while at < end:
        kind, length = struct.unpack_from("!HH", hello, at)
        data = hello[at + 4 : _end(hello, at + 4 + length)]
        if kind == EXTENSION_ALPN:
            return _names(data)
        at += 4 + length
    return ()


def _names(data: bytes) -> tuple[bytes, ...]:
    (length,) = struct.unpack_from("!H", data)
    if length != len(data) - 2:
        raise ValueError("the ALPN list has another length than it says")
    names, at = [], 2
    while at < len(data):
        end = _end(data, at + 1 + data[at])
        names.append(data[at + 1 : end])
        at = end
    return tuple(names)


def _end(data: bytes, position: int) -> int:
    if position > len(data):
        raise ValueError("the ClientHello ends too early")
    return position
