import asyncio
import socket

import pytest

from helper.relay.channels import FIRST, LAST, LIFETIME, QUARANTINE, Channels
from helper.relay.datagrams import ROOM, Sender, prepare, receive
from helper.relay.errors import Reached, RelayRefused, RelayUnreachable
from helper.relay.race import first_success
from helper.relay.relay import Relay
from helper.relay.servers import Transport, TurnServer, parse_stun_uri, parse_turn_uri
from helper.relay.waiting import Waiting
from protocol.addresses import Address
from protocol.errors import error_from_wire
from protocol.stun import is_stun

A, B, C = (Address.parse(f"192.0.2.{number}:7") for number in (1, 2, 3))


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("turn:relay.test", ("relay.test", 3478, "udp")),
        ("turn:relay.test:99?transport=tcp", ("relay.test", 99, "tcp")),
        ("turns:relay.test?transport=tcp", ("relay.test", 5349, "tls")),
        ("turns:[2001:db8::1]:443", ("2001:db8::1", 443, "tls")),
        ("TURN:192.0.2.1:3478?transport=udp", ("192.0.2.1", 3478, "udp")),
    ],
)
def test_turn_uris_are_read(uri: str, expected: tuple[str, int, str]) -> None:
    assert parse_turn_uri(uri) == expected


@pytest.mark.parametrize(
    "uri",
    ["", "turn:", "stun:x", "turn://x", "turn:x:0", "turn:x:70000", "turn:x:²", "turn:::1", "turn:[::1", "turns:x?transport=udp",
     "turn:x?transport=sctp", "turn:x?udp", "turn:u@x", "turn:x y"],
)  # fmt: skip
def test_other_uris_are_no_turn_uris(uri: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        parse_turn_uri(uri)


def test_stun_uris_are_read() -> None:
    assert parse_stun_uri("stun:[::1]:1") == ("::1", 1)
    assert parse_stun_uri("stun:relay.test") == ("relay.test", 3478)
    with pytest.raises(ValueError, match="begins with stun"):
        parse_stun_uri("stuns:relay.test")


def test_a_password_is_not_shown() -> None:
    assert "hush" not in repr(TurnServer("relay.test", 1, "udp", "u", "hush"))


def test_errors_cross_the_local_api() -> None:
    error = error_from_wire("relay-refused", "no", "wait")
    assert isinstance(error, RelayRefused)
    assert (str(error), error.hint) == ("no", "wait")


def test_stun_and_wireguard_are_told_apart() -> None:
    cookie = bytes.fromhex("2112a442") + bytes(12)
    assert is_stun(b"\x00\x01\x00\x00" + cookie)
    assert is_stun(memoryview(b"\x01\x01\x00\x00" + cookie))
    assert not is_stun(b"\x01\x00\x00\x00" + cookie)  # a handshake initiation with this very sender index
    assert not is_stun(b"\x00\x01\x00\x00" + cookie[:-1])


def test_waiting_keeps_the_newest_of_few_for_a_while() -> None:
    waiting = Waiting(each=2, peers=2, seconds=5.0)
    for data in (b"1", b"2", b"3"):
        waiting.put(A, data, 0.0)
    waiting.put(B, b"b", 0.0)
    waiting.put(A, b"4", 4.0)
    waiting.put(C, b"c", 4.0)  # B has waited longest
    assert waiting.take(B, 4.0) == []
    assert waiting.take_of(A.ip, 5.5) == [(A, b"4")]
    assert waiting.take(A, 5.5) == []


def test_channel_numbers_are_reused_only_when_nothing_can_arrive_on_them() -> None:
    channels = Channels()
    peers = [Address(A.ip, port) for port in range(1, LAST - FIRST + 2)]
    for peer in peers:
        channels.want(peer, 0.0)
    channels.take_due(0.0, 0)
    channels.bind(peers[0], 0.0)
    channels.forget(peers[0])
    assert channels.want(B, LIFETIME) is None
    assert channels.peer_of(FIRST) == peers[0]
    channels.want(B, LIFETIME + QUARANTINE)
    assert channels.peer_of(FIRST) == B


async def test_a_burst_arrives_as_the_datagrams_that_were_sent() -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(type=socket.SOCK_DGRAM) as near, socket.socket(type=socket.SOCK_DGRAM) as far:
        for sock in (near, far):
            sock.setblocking(False)
            prepare(sock)
            sock.bind(("127.0.0.1", 0))
        near.connect(far.getsockname())
        far.connect(near.getsockname())
        sizes = [1200] * 50 + [7] + [1400, 1400, 9, 64_000, 3]
        datagrams = [bytes((index,)) * size for index, size in enumerate(sizes)]
        parts = [part for data in datagrams for part in (data[:3], memoryview(data)[3:])]
        Sender(near).send(parts, sizes, 2)
        room, seen = memoryview(bytearray(ROOM)), []
        while len(seen) < len(datagrams):
            ready = loop.create_future()
            loop.add_reader(far, lambda ready=ready: ready.done() or ready.set_result(None))
            await asyncio.wait_for(ready, 20)
            loop.remove_reader(far)
            frames, _ = receive(far, room)
            seen += [bytes(room[start : start + size]) for start, size in frames]
        assert seen == datagrams


async def test_a_refused_datagram_is_told_and_does_not_stop_the_next() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as near, socket.socket(type=socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        near.setblocking(False)
        near.connect(gone.getsockname())
        gone.close()
        Sender(near).send([b"x"], [1], 1)
        assert receive(near, memoryview(bytearray(ROOM))) == ([], True)
        Sender(near).send([b"x", b"y"], [1, 1], 1)


async def test_the_next_attempt_starts_at_once_after_a_failure_and_losers_end() -> None:
    ended: list[str] = []

    async def fail() -> str:
        raise RelayUnreachable("no")

    async def hang() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("hang")
        return ""

    async def succeed() -> str:
        return "yes"

    assert await first_success([fail, hang, succeed], stagger=0.01, discard=ended.append) == "yes"
    assert ended == ["hang"]


async def test_when_all_fail_the_one_that_got_furthest_is_told() -> None:
    async def unroutable() -> str:
        raise RelayUnreachable("no IPv6 here", reached=Reached.NO_ROUTE)

    async def fail() -> str:
        raise RelayUnreachable("silence")

    async def refuse() -> str:
        raise RelayRefused("full", stun_error=508)

    with pytest.raises(RelayRefused):
        await first_success([fail, refuse, unroutable], stagger=60.0, discard=print)
    with pytest.raises(RelayUnreachable, match="silence"):
        await first_success([unroutable, fail, unroutable], stagger=60.0, discard=print)
    with pytest.raises(RelayUnreachable):
        await first_success([], stagger=60.0, discard=print)


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
@pytest.mark.parametrize(("host", "port"), [("256.256.256.256", 1), (".", 1), ("a" * 300, 1), ("127.0.0.1", 70_000)])
async def test_an_address_that_is_none_is_an_unreachable_relay(transport: Transport, host: str, port: int) -> None:
    relay = Relay(wireguard_port=1, on_stun=print, on_change=(changed := asyncio.Event()).set, inject=print)
    task = asyncio.create_task(relay.run())
    relay.configure((TurnServer(host, port, transport, "u", "p"),), bytes(32))
    await asyncio.wait_for(changed.wait(), 20)
    assert isinstance(relay.error, RelayUnreachable)
    task.cancel()
    await asyncio.wait([task])
