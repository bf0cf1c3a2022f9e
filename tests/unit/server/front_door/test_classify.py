import ssl
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.front_door.classify import MAX_CLIENT_HELLO, NeedMore, Route, classify

STUN_BINDING = bytes.fromhex("0001000c2112a442") + bytes(24)


def client_hello(*protocols: str) -> bytes:
    """The first flight of a real TLS client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="example.org")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def in_records_of(size: int, hello: bytes) -> bytes:
    """The same handshake message, spread over records of `size` bytes."""
    message = hello[5:]
    pieces = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + struct.pack("!H", len(piece)) + piece for piece in pieces)


TABLE = [
    (client_hello("h2"), Route.TLS_GRPC),
    (client_hello("grpc-exp", "h2"), Route.TLS_GRPC),
    (client_hello("h2", "http/1.1"), Route.TLS_WEB),
    (client_hello("http/1.1"), Route.TLS_WEB),
    (client_hello("http/1.0"), Route.TLS_WEB),
    (client_hello("stun.turn"), Route.TLS_TURN),
    (client_hello(), Route.TLS_TURN),
    (in_records_of(50, client_hello("h2")), Route.TLS_GRPC),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Route.PLAIN_GRPC),
    (b"GET / HTTP/1.1\r\n", Route.PLAIN_WEB),
    (b"PUT /api HTTP/1.1\r\n", Route.PLAIN_WEB),
    (b"POST /api HTTP/1.1\r\n", Route.PLAIN_WEB),
    (b"OPTIONS * HTTP/1.1\r\n", Route.PLAIN_WEB),
    (STUN_BINDING, Route.PLAIN_TURN),
    (b"\x00\x03" + STUN_BINDING[2:], Route.PLAIN_TURN),
]


@pytest.mark.parametrize(("first_bytes", "route"), TABLE, ids=lambda value: value.value if isinstance(value, Route) else "")
def test_a_connection_is_known_by_its_first_bytes(first_bytes: bytes, route: Route) -> None:
    assert classify(first_bytes) is route


@pytest.mark.parametrize(("first_bytes", "route"), TABLE, ids=lambda value: value.value if isinstance(value, Route) else "")
def test_every_beginning_asks_for_more_and_never_for_more_than_there_will_be(first_bytes: bytes, route: Route) -> None:
    for length in range(len(first_bytes)):
        verdict = classify(first_bytes[:length])
        if verdict is not route:
            assert isinstance(verdict, NeedMore)
            assert length < verdict.at_least <= len(first_bytes)


@pytest.mark.parametrize(
    "first_bytes",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"\x16\x03\x01\x00\x00",  # an empty record
        b"\x16\x02\x01\x00\x10",  # SSLv2's version
        b"\x16\x03\x01\xff\xff",
        b"\x16\x03\x01\x00\x05\x02",  # a ServerHello
        b"\x16\x03\x01\x00\x04\x01\xff\xff\xff",  # a hello of 16 MB
        b"\x16\x03\x01\x00\x04\x01\x00\x00\x00",  # an empty hello
        b"\x00\x01\x00\x00\x00\x00\x00\x00",  # STUN of RFC 3489, without the cookie
        b"\x80\x9e\x01\x03",
        b"\xff",
        b"GETTING",
        b"PRINT",
    ],
)
def test_what_is_no_protocol_of_ours_is_unknown(first_bytes: bytes) -> None:
    assert classify(first_bytes) is Route.UNKNOWN


def test_a_hello_in_endless_tiny_records_is_given_up() -> None:
    tiny = b"\x16\x03\x01\x00\x01"
    data = tiny + b"\x01" + tiny + b"\x00" + tiny + b"\x3f" + tiny + b"\xff" + (tiny + b"\x00") * MAX_CLIENT_HELLO
    assert classify(data[: 3 * MAX_CLIENT_HELLO]) is Route.UNKNOWN


@given(st.binary(max_size=400))
@example(b"")
def test_no_bytes_raise(first_bytes: bytes) -> None:
    verdict = classify(first_bytes)
    assert isinstance(verdict, Route) or verdict.at_least > len(first_bytes)


@given(st.sampled_from([data for data, _ in TABLE]), st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), max_size=8))
def test_no_damaged_beginning_raises(first_bytes: bytes, changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(first_bytes)
    for position, value in changes:
        damaged[position % len(damaged)] = value
    verdict = classify(bytes(damaged))
    assert isinstance(verdict, Route) or verdict.at_least > len(damaged)
