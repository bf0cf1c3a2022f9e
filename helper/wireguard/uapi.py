"""The configuration protocol of wireguard-go: text over a Unix socket, one request for each connection.

A request is `set=1` or `get=1`, lines `key=value`, and an empty line; the answer ends with `errno=N` and an empty line. N is
0 for success and an errno otherwise, negative in some builds. Keys are in lower-case hexadecimal, endpoints IP literals.
Source: the "Cross-platform Userspace Implementation" page of WireGuard's documentation.
"""

import asyncio
import contextlib
import errno
import functools
import hashlib
import ipaddress
import os
import socket
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from helper.wireguard.device import PeerStatistics
from helper.wireguard.drift import Configuration, PeerConfiguration
from helper.wireguard.peers import ConfigurePeer, PeerChange, RemovePeer
from protocol.addresses import Address, IPNetwork
from protocol.keys import KEY_LENGTH, PrivateKey, PublicKey

SOCKET_FOLDER = Path("/var/run/wireguard")
REQUEST_TIMEOUT = 5.0  # seconds
ANSWER_LIMIT = 256 * 2**20  # bytes; some 100 for each allowed IP


@dataclass(slots=True)
class PeerState:
    """A peer as wireguard-go reports it."""

    public_key: PublicKey
    endpoint: Address | None = None
    last_handshake: float = 0.0  # seconds since 1970; 0: never
    received: int = 0  # bytes
    sent: int = 0  # bytes
    persistent_keepalive: int = 0  # seconds; 0 is off
    has_preshared_key: bool = False
    allowed_ips: list[IPNetwork] = field(default_factory=list)


@dataclass(slots=True)
class DeviceState:
    """An interface as wireguard-go reports it, without its private key."""

    listen_port: int = 0
    fwmark: int = 0
    peers: dict[PublicKey, PeerState] = field(default_factory=dict)


def socket_path(interface: str) -> Path:
    return SOCKET_FOLDER / f"{interface}.sock"


def is_served(interface: str) -> bool:
    """Say whether some process answers on the interface's socket, be it in another network namespace."""
    if sys.platform == "win32":
        raise OSError("wireguard-go is configured over a Unix socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(socket_path(interface)))
        except BlockingIOError:
            return True
        except OSError:
            return False
    return True


def remove_stale_socket(interface: str) -> None:
    """Remove the socket that a killed process left; one in use stays."""
    if not is_served(interface):
        socket_path(interface).unlink(missing_ok=True)


class UapiClient:
    """Configures one interface. Raises OSError (TimeoutError too) when wireguard-go refuses or does not answer."""

    def __init__(self, interface: str) -> None:
        self._path = socket_path(interface)
        self._one_at_a_time = asyncio.Lock()
        self._parsed: tuple[bytes, DeviceState] = (b"", DeviceState())  # the last answer's digest, as the text holds the key

    async def configure(self, private_key: PrivateKey, port: int, fwmark: int) -> None:
        """Set key, UDP port and mark; the peers go."""
        await self._request(
            f"set=1\nprivate_key={private_key.raw.hex()}\nlisten_port={port}\nfwmark={fwmark}\nreplace_peers=true\n\n"
        )

    async def set_private_key(self, private_key: PrivateKey) -> None:
        await self._request(f"set=1\nprivate_key={private_key.raw.hex()}\n\n")

    async def set_port(self, port: int, fwmark: int) -> None:
        """Set UDP port and mark, and leave all else."""
        await self._request(f"set=1\nlisten_port={port}\nfwmark={fwmark}\n\n")

    async def configuration(self) -> Configuration:
        answer = await self._request("get=1\n\n")
        state = self._parse(answer)
        peers = {
            key: PeerConfiguration(set(peer.allowed_ips), peer.persistent_keepalive, peer.has_preshared_key)
            for key, peer in state.peers.items()
        }
        return Configuration(parse_public_key(answer), state.listen_port, state.fwmark, peers)

    async def apply(self, changes: Iterable[PeerChange]) -> None:
        """Tell about peers, in one request."""
        await self._request(format_changes(changes))

    async def state(self) -> DeviceState:
        return self._parse(await self._request("get=1\n\n"))

    async def listen_port(self) -> int:
        return (await self.state()).listen_port

    async def statistics(self) -> dict[PublicKey, PeerStatistics]:
        peers = (await self.state()).peers
        return {key: PeerStatistics(peer.endpoint, peer.last_handshake, peer.received, peer.sent) for key, peer in peers.items()}

    def _parse(self, answer: str) -> DeviceState:
        """What an answer says; a thousand peers that are idle are read once. Nobody changes what comes out."""
        digest = hashlib.blake2b(answer.encode(), digest_size=16).digest()
        if digest != self._parsed[0]:
            self._parsed = digest, parse_state(answer)
        return self._parsed[1]

    async def _request(self, request: str) -> str:
        if sys.platform == "win32":
            raise OSError("wireguard-go is configured over a Unix socket")
        async with self._one_at_a_time, asyncio.timeout(REQUEST_TIMEOUT):
            reader, writer = await asyncio.open_unix_connection(str(self._path))
            try:
                writer.write(request.encode())
                answer = await _read_answer(reader)
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
        code = error_number(answer)
        if code:
            raise OSError(code, os.strerror(code))
        return answer


async def _read_answer(reader: asyncio.StreamReader) -> str:
    answer = bytearray()
    while not answer.endswith(b"\n\n"):
        part = await reader.read(2**18)
        if not part:
            raise OSError(errno.ECONNRESET, "wireguard-go hung up before it answered")
        answer += part
        if len(answer) > ANSWER_LIMIT:
            raise OSError(errno.EMSGSIZE, "wireguard-go's answer does not end")
    return answer.decode(errors="replace")


def format_changes(changes: Iterable[PeerChange]) -> str:
    """Write changes to peers as one `set` request."""
    lines = ["set=1"]
    for change in changes:
        lines.append(f"public_key={change.public_key.raw.hex()}")
        match change:
            case RemovePeer():
                lines.append("remove=true")
            case ConfigurePeer():
                lines.extend(_format_peer(change))
    return "\n".join(lines) + "\n\n"


def _format_peer(peer: ConfigurePeer) -> Iterator[str]:
    if peer.update_only:
        yield "update_only=true"
    if peer.preshared_key is not None:
        yield f"preshared_key={peer.preshared_key.hex()}"
    if peer.endpoint is not None:
        yield f"endpoint={peer.endpoint}"
    if peer.persistent_keepalive is not None:
        yield f"persistent_keepalive_interval={peer.persistent_keepalive}"
    if peer.replace_allowed_ips:
        yield "replace_allowed_ips=true"
    for network in peer.allowed_ips:
        yield f"allowed_ip={network}"


def error_number(answer: str) -> int:
    """The errno in an answer, whatever its sign; EPROTO if there is none."""
    for line in reversed(answer.splitlines()):
        name, _, value = line.partition("=")
        if name == "errno":
            digits = value.removeprefix("-")
            return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else errno.EPROTO
    return errno.EPROTO


def parse_state(answer: str) -> DeviceState:
    """Read the answer to `get`. Lines that make no sense are passed over, so that one strange peer hides none of the others."""
    state = DeviceState()
    peer: PeerState | None = None
    for line in answer.splitlines():
        name, _, value = line.partition("=")
        try:
            if name == "public_key":
                peer = None  # what follows belongs to no peer if this key is no key
                key = _public_key(value)
                peer = state.peers.setdefault(key, PeerState(key))
            elif peer is not None:
                _take_peer_line(peer, name, value)
            elif name == "listen_port":
                state.listen_port = _number(value, 65535)
            elif name == "fwmark":
                state.fwmark = _number(value, 2**32 - 1)
        except ValueError:
            continue
    return state


def parse_public_key(answer: str) -> PublicKey | None:
    """The public key of the private key in an answer to `get`; None if there is none. That key itself is not kept."""
    for line in answer.splitlines():
        name, _, value = line.partition("=")
        if name == "private_key" and len(value) == 2 * KEY_LENGTH and value.strip("0"):
            return PrivateKey(bytes.fromhex(value)).public
        if name == "public_key":
            return None
    return None


def _take_peer_line(peer: PeerState, name: str, value: str) -> None:
    match name:
        case "endpoint":
            peer.endpoint = _endpoint(value)
        case "last_handshake_time_sec":
            peer.last_handshake = _number(value) + peer.last_handshake % 1
        case "last_handshake_time_nsec":
            peer.last_handshake = int(peer.last_handshake) + _number(value, 999_999_999) / 1e9
        case "rx_bytes":
            peer.received = _number(value)
        case "tx_bytes":
            peer.sent = _number(value)
        case "persistent_keepalive_interval":
            peer.persistent_keepalive = _number(value, 65535)
        case "preshared_key":
            peer.has_preshared_key = bool(value.strip("0"))
        case "allowed_ip":
            peer.allowed_ips.append(_network(value))


def _public_key(text: str) -> PublicKey:
    raw = bytes.fromhex(text)
    if len(raw) != KEY_LENGTH:
        raise ValueError("a WireGuard key is 32 bytes")
    return PublicKey(raw)


@functools.lru_cache(maxsize=4096)  # each second the same ones come again
def _endpoint(text: str) -> Address:
    return Address.parse(text)


@functools.lru_cache(maxsize=4096)
def _network(text: str) -> IPNetwork:
    return ipaddress.ip_network(text, strict=False)


def _number(text: str, most: int = 2**63 - 1) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= most):
        raise ValueError(f"a number from 0 to {most} should stand here")
    return int(text)
