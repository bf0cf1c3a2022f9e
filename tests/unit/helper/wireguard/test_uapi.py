import asyncio
import errno
import ipaddress
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helper.wireguard import uapi
from helper.wireguard.peers import ConfigurePeer, RemovePeer
from helper.wireguard.uapi import UapiClient, error_number, format_changes, parse_state
from protocol.addresses import Address
from protocol.keys import PrivateKey, PublicKey

KEY, OTHER = PublicKey(b"\x01" * 32), PublicKey(b"\x02" * 32)
ANSWER = f"""private_key={"aa" * 32}
listen_port=51820
fwmark=51
public_key={KEY.raw.hex()}
preshared_key={"00" * 32}
protocol_version=1
endpoint=[2001:db8::7]:1234
last_handshake_time_sec=1700000000
last_handshake_time_nsec=250000000
tx_bytes=148
rx_bytes=92
persistent_keepalive_interval=25
allowed_ip=100.92.0.7/32
allowed_ip=fd00::/64
public_key={OTHER.raw.hex()}
last_handshake_time_sec=0
last_handshake_time_nsec=0
errno=0

"""


def test_a_change_is_written_as_the_protocol_wants_it() -> None:
    networks = (ipaddress.ip_network("100.92.0.7/32"), ipaddress.ip_network("fd00::/64"))
    whole = ConfigurePeer(KEY, Address.parse("[2001:db8::7]:1234"), 25, b"\x03" * 32, networks, replace_allowed_ips=True)
    moved = ConfigurePeer(OTHER, Address.parse("192.0.2.7:9"), update_only=True)
    assert format_changes([RemovePeer(KEY), whole, moved]).splitlines() == [
        "set=1",
        f"public_key={'01' * 32}",
        "remove=true",
        f"public_key={'01' * 32}",
        f"preshared_key={'03' * 32}",
        "endpoint=[2001:db8::7]:1234",
        "persistent_keepalive_interval=25",
        "replace_allowed_ips=true",
        "allowed_ip=100.92.0.7/32",
        "allowed_ip=fd00::/64",
        f"public_key={'02' * 32}",
        "update_only=true",
        "endpoint=192.0.2.7:9",
        "",
    ]


def test_a_state_is_read_and_the_private_key_is_not() -> None:
    state = parse_state(ANSWER)
    peer = state.peers[KEY]
    assert (state.listen_port, state.fwmark) == (51820, 51)
    assert (peer.endpoint, peer.last_handshake, peer.received, peer.sent) == (
        Address.parse("[2001:db8::7]:1234"),
        1700000000.25,
        92,
        148,
    )
    assert peer.allowed_ips == [ipaddress.ip_network("100.92.0.7/32"), ipaddress.ip_network("fd00::/64")]
    assert state.peers[OTHER].last_handshake == 0.0
    assert state.peers[OTHER].endpoint is None
    assert "aaaa" not in repr(state)


def test_a_damaged_line_hides_no_other_peer() -> None:
    damaged = ANSWER.replace("rx_bytes=92", "rx_bytes=-92").replace("endpoint=[2001:db8::7]:1234", "endpoint=nowhere:1")
    state = parse_state(damaged)
    assert state.peers[KEY].received == 0
    assert state.peers[KEY].endpoint is None
    assert OTHER in state.peers


@given(st.text() | st.lists(st.sampled_from(ANSWER.splitlines())).map("\n".join) | st.binary().map(lambda b: b.decode("latin-1")))
def test_no_answer_breaks_the_reader(answer: str) -> None:
    parse_state(answer)
    parse_state(f"public_key={KEY.raw.hex()}\n{answer}")
    assert error_number(answer) >= 0


@pytest.mark.parametrize(
    ("answer", "number"),
    [("errno=0\n\n", 0), ("errno=-22\n\n", 22), ("errno=98\n\n", 98), ("", errno.EPROTO), ("errno=x\n\n", errno.EPROTO)],
)
def test_an_errno_counts_whatever_its_sign(answer: str, number: int) -> None:
    assert error_number(answer) == number


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(uapi, "SOCKET_FOLDER", tmp_path)
    return tmp_path


async def test_a_refusal_is_an_oserror_and_the_key_is_not_in_it(folder: Path) -> None:
    requests: list[str] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append((await reader.readuntil(b"\n\n")).decode())
        writer.write(b"errno=-98\n\n")
        writer.close()

    key = PrivateKey.generate()
    server = await asyncio.start_unix_server(refuse, folder / "wt9.sock")
    async with server:
        with pytest.raises(OSError, match="in use") as caught:
            await UapiClient("wt9").configure(key, 51820, 0)
    assert caught.value.errno == errno.EADDRINUSE
    assert requests == [f"set=1\nprivate_key={key.raw.hex()}\nlisten_port=51820\nfwmark=0\nreplace_peers=true\n\n"]
    assert key.raw.hex() not in str(caught.value)


async def test_one_request_at_a_time_and_an_answer_in_pieces(folder: Path) -> None:
    running = most = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await reader.readuntil(b"\n\n")
        for piece in (ANSWER[:50], ANSWER[50:-1], ANSWER[-1:]):
            writer.write(piece.encode())
            await writer.drain()
            await asyncio.sleep(0)
        running -= 1
        writer.close()

    server = await asyncio.start_unix_server(answer, folder / "wt9.sock")
    async with server:
        client = UapiClient("wt9")
        found = await asyncio.gather(*(client.statistics() for _ in range(5)))
    assert most == 1
    assert all(set(one) == {KEY, OTHER} for one in found)


async def test_silence_and_hanging_up_are_oserrors(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\n\n")
        if silent.is_set():
            await reader.read()  # until the client gives up
        writer.close()

    server = await asyncio.start_unix_server(serve, folder / "wt9.sock")
    async with server:
        with pytest.raises(OSError, match="hung up"):
            await UapiClient("wt9").state()
        silent.set()
        monkeypatch.setattr(uapi, "REQUEST_TIMEOUT", 0.05)
        with pytest.raises(TimeoutError):
            await UapiClient("wt9").state()
    with pytest.raises(OSError, match=r"No such file|refused"):
        await UapiClient("wt9").state()


async def test_a_stale_socket_is_removed_and_one_in_use_stays(folder: Path) -> None:
    path = folder / "wt9.sock"
    server = await asyncio.start_unix_server(lambda _, writer: writer.close(), path)
    async with server:
        uapi.remove_stale_socket("wt9")
        assert uapi.is_served("wt9")
        assert path.exists()
    path.unlink(missing_ok=True)
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    uapi.remove_stale_socket("wt9")
    assert not path.exists()
