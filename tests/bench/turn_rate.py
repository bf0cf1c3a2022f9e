"""How many datagrams a second our relay carries on one core, against coturn on the same core, with the same generator.

relay (CPU 1)  <--- ChannelData of clients, datagrams of peers --- generator and sink, this process (CPU 0)

All runs over loopback, both directions at once. Single datagrams leave a raw socket, so that one sendmmsg(2) interleaves all
flows; bursts leave each flow's socket by UDP_SEGMENT. On loopback both cross whole, as GRO would join them behind a network card.
Sinks count with UDP_GRO. The generator offers more than either relay carries; rounds alternate, the median of seven counts.
A second is one of the relay's CPU time, so that other work on the machine blurs the figure but does not make it.
"""

import asyncio
import contextlib
import ctypes
import itertools
import logging
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path

import uvloop

from protocol.addresses import Address
from protocol.stun import Attribute, long_term_key, pack_xor_address, unpack_xor_address
from server.stun_turn import TurnConfig, TurnService, codec
from server.stun_turn.codec import Class, Message, Method
from server.stun_turn.credentials import Credentials, make_credentials
from tests.bench.figure import Figure

SECRET, REALM, HOST = "bench", "covey", "127.0.0.1"
ROUNDS, WARM_UP, WINDOW = 7, 0.2, 0.5  # rounds; seconds
DRAIN_EVERY = 0.004  # seconds between two looks at the sinks
MMSGHDR = struct.Struct("@PIPNPNi0PI0P")
IOVEC = struct.Struct("@PN")
UDP_SEGMENT, UDP_GRO, MSG_TRUNC, MSG_DONTWAIT = 103, 104, 0x20, 0x40
CHANNEL = 0x4000

log = logging.getLogger(__name__)
_libc = ctypes.CDLL(None, use_errno=True)
_libc.sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
_libc.recvmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)


@dataclass(frozen=True, slots=True)
class Load:
    name: str
    flows: int
    sizes: tuple[int, ...]  # payloads in bytes, in turn
    burst: int  # datagrams of one flow in a row; 1: flows alternate with every datagram
    goal: float


LOADS = (
    Load("1 flow, 100 bytes, single", 1, (100,), 1, 0.9),
    Load("32 flows, mixed sizes, single", 32, (100, 1400, 300, 1200, 60, 800, 1000), 1, 0.9),
    Load("32 flows, 1400 bytes, bursts of 16", 32, (1400,), 16, 0.9),
)


@dataclass(frozen=True, slots=True)
class RelayProcess:
    port: int
    pid: int
    clients: set[int] = field(default_factory=set)  # ports that had an allocation; it may live on for minutes


@dataclass
class Flow:
    """A client with an allocation and a channel to a peer."""

    client: socket.socket
    peer: socket.socket
    relayed: Address


class Batch:
    """Messages that one sendmmsg(2) sends, laid out once."""

    def __init__(self, sock: socket.socket, messages: list[bytes], to: Address | None = None, segment: int = 0) -> None:
        self.sock, self.count = sock, len(messages)
        self.datagrams = sum(-(-len(message) // segment) if segment else 1 for message in messages)
        name = struct.pack("=H", socket.AF_INET) + struct.pack("!H", to.port) + to.ip.packed + bytes(8) if to else b""
        control = struct.pack("@Nii", 18, socket.IPPROTO_UDP, UDP_SEGMENT) + struct.pack("=H6x", segment) if segment else b""
        self._keep = [ctypes.create_string_buffer(part, max(len(part), 1)) for part in (name, control, *messages)]
        name_at, control_at, *payloads_at = (ctypes.addressof(part) for part in self._keep)
        iovecs = ctypes.create_string_buffer(
            b"".join(IOVEC.pack(at, len(m)) for at, m in zip(payloads_at, messages, strict=True)), IOVEC.size * len(messages)
        )
        names = (name_at if name else 0, len(name))
        controls = (control_at if control else 0, len(control))
        headers = b"".join(
            MMSGHDR.pack(*names, ctypes.addressof(iovecs) + n * IOVEC.size, 1, *controls, 0, 0) for n in range(len(messages))
        )
        self._headers = ctypes.create_string_buffer(headers, len(headers))
        self._keep.append(iovecs)

    def send(self) -> int:
        """The number of datagrams that left."""
        sent: int = _libc.sendmmsg(self.sock.fileno(), self._headers, self.count, MSG_DONTWAIT)
        return max(sent, 0) * self.datagrams // self.count


class Sink:
    """Counts what has come to sockets, without copying it."""

    def __init__(self, sockets: list[socket.socket], segments: set[int]) -> None:
        self._sockets, self._segments = sockets, segments
        iovec = ctypes.create_string_buffer(IOVEC.pack(0, 0), IOVEC.size)
        self._fresh = MMSGHDR.pack(0, 0, ctypes.addressof(iovec), 1, 0, 0, 0, 0) * 64
        self._headers = ctypes.create_string_buffer(self._fresh, len(self._fresh))
        self._lengths = memoryview(self._headers).cast("B").cast("I")[(MMSGHDR.size - 8) // 4 :: MMSGHDR.size // 4]
        self._keep = iovec

    def drain(self) -> int:
        """The number of datagrams since the last call. With one size a joined burst tells its number by its length."""
        count = 0
        for sock in self._sockets:
            got = 64
            while got == 64:
                got = max(_libc.recvmmsg(sock.fileno(), self._headers, 64, MSG_DONTWAIT | MSG_TRUNC, None), 0)
                if not got:
                    break
                if len(self._segments) == 1:
                    count += sum(self._lengths[:got]) // max(next(iter(self._segments)), 1)
                else:
                    count += got
        return count


def _request(sock: socket.socket, message: Message, key: bytes | None) -> Message:
    until = time.monotonic() + 30.0
    while time.monotonic() < until:
        with contextlib.suppress(OSError, ValueError):
            sock.send(codec.build(message, key))
            while (answer := codec.parse(sock.recv(2048))).transaction_id != message.transaction_id:
                continue  # of a request that was sent again
            return answer
        time.sleep(0.02)
    raise RuntimeError("the relay does not answer")


def _authenticated(sock: socket.socket, method: Method, credentials: Credentials, *attributes: tuple[int, bytes]) -> Message:
    key = long_term_key(credentials.username, REALM, credentials.password)
    challenge = _request(sock, Message(method, Class.REQUEST, os.urandom(12), list(attributes)), None)
    nonce = challenge.get(Attribute.NONCE)
    assert nonce is not None
    login = [(Attribute.USERNAME, credentials.username.encode()), (Attribute.REALM, REALM.encode()), (Attribute.NONCE, nonce)]
    answer = _request(sock, Message(method, Class.REQUEST, os.urandom(12), [*attributes, *login]), key)
    assert answer.message_class == Class.SUCCESS, answer
    return answer


def _udp_socket() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(0.5)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
    sock.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    sock.bind((HOST, 0))
    return sock


def _open_flow(relay: RelayProcess) -> Flow:
    client, peer = _udp_socket(), _udp_socket()
    while (own_port := client.getsockname()[1]) in relay.clients:
        client.close()
        client = _udp_socket()
    relay.clients.add(own_port)
    client.connect((HOST, relay.port))
    credentials = make_credentials(SECRET, os.urandom(8).hex(), 3600, time.time())
    answer = _authenticated(client, Method.ALLOCATE, credentials, (Attribute.REQUESTED_TRANSPORT, b"\x11\0\0\0"))
    value = answer.get(Attribute.XOR_RELAYED_ADDRESS)
    assert value is not None
    relayed = unpack_xor_address(value, answer.transaction_id)
    channel = (Attribute.CHANNEL_NUMBER, struct.pack("!HH", CHANNEL, 0))
    to_peer = (Attribute.XOR_PEER_ADDRESS, pack_xor_address(Address.of(*peer.getsockname()), bytes(12)))
    _authenticated(client, Method.CHANNEL_BIND, credentials, channel, to_peer)
    peer.connect((str(relayed.ip), relayed.port))
    return Flow(client, peer, relayed)


def _raw_datagram(source: int, to: int, payload: bytes) -> bytes:
    """IPv4 and UDP headers, the checksums left to the kernel and out."""
    host = socket.inet_aton(HOST)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(payload), 0, 0x4000, 64, socket.IPPROTO_UDP, 0, host, host)
    return ip + struct.pack("!HHHH", source, to, 8 + len(payload), 0) + payload


@contextlib.contextmanager
def _generator(load: Load, port: int, flows: list[Flow]) -> Iterator[list[Batch]]:
    """What to send, in turn."""
    if load.burst > 1:
        size = load.sizes[0]
        framed = codec.pack_channel_data(CHANNEL, os.urandom(size)) * load.burst
        to_peer = [Batch(flow.client, [framed], None, size + 4) for flow in flows]
        to_client = [Batch(flow.peer, [os.urandom(size) * load.burst], None, size) for flow in flows]
        yield list(itertools.chain(*zip(to_peer, to_client, strict=True)))
        return
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)
        sizes, messages = itertools.cycle(load.sizes), []
        for flow in itertools.islice(itertools.cycle(flows), 64 * len(load.sizes)):
            client_port, peer_port = flow.client.getsockname()[1], flow.peer.getsockname()[1]
            messages.append(_raw_datagram(client_port, port, codec.pack_channel_data(CHANNEL, os.urandom(next(sizes)))))
            messages.append(_raw_datagram(peer_port, flow.relayed.port, os.urandom(next(sizes))))
        to = Address.of(HOST, 0)
        yield [Batch(raw, messages[at : at + 32], to) for at in range(0, len(messages), 32)]


@dataclass
class Measured:
    """Datagrams a second of the relay's CPU time."""

    relayed: list[float] = field(default_factory=list)
    offered: list[float] = field(default_factory=list)


def _cpu_seconds(pid: int) -> float:
    """What all threads of a process have run."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def _measure(load: Load, relay: RelayProcess) -> tuple[float, float]:
    with contextlib.ExitStack() as stack:
        flows = [_open_flow(relay) for _ in range(load.flows)]
        for flow in flows:
            stack.enter_context(flow.client)
            stack.enter_context(flow.peer)
        batches = stack.enter_context(_generator(load, relay.port, flows))
        sizes = set(load.sizes)
        to_peers = Sink([flow.peer for flow in flows], sizes)
        to_clients = Sink([flow.client for flow in flows], {size + 4 for size in sizes})
        offered = relayed = 0
        begin = time.perf_counter() + WARM_UP
        counting, drained, used = False, 0.0, 0.0
        sending = itertools.cycle(batches)
        while (now := time.perf_counter()) < begin + WINDOW:
            if not counting and now >= begin:
                counting, offered, relayed, begin, used = True, 0, 0, now, _cpu_seconds(relay.pid)
            for _ in range(4):
                offered += next(sending).send()
            if now - drained >= DRAIN_EVERY:
                relayed += to_peers.drain() + to_clients.drain()
                drained = now
        used = _cpu_seconds(relay.pid) - used
        relayed += to_peers.drain() + to_clients.drain()
        return relayed / used, offered / used


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((HOST, 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def _relay(command: list[str], port: int, cpu: int) -> Iterator[RelayProcess]:
    """Run a relay on one CPU until it answers, and to the end of the context."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=lambda: os.sched_setaffinity(0, {cpu})
    )
    try:
        with _udp_socket() as probe:
            probe.connect((HOST, port))
            _request(probe, Message(Method.BINDING, Class.REQUEST, os.urandom(12)), None)
        yield RelayProcess(port, process.pid)
    finally:
        process.terminate()
        process.wait(10)


async def _serve(port: int) -> None:
    config = TurnConfig(
        secret=SECRET,
        realm=REALM,
        listen=(Address.of("0.0.0.0", port),),
        public_addresses=(ip_address(HOST),),
        allowed_peers=(ip_network("127.0.0.0/8"),),
    )
    async with TurnService(config):
        await asyncio.Event().wait()


def _coturn(port: int, folder: Path) -> list[str]:
    options = f"-n -m 1 -L {HOST} -E {HOST} -p {port} -a --use-auth-secret --static-auth-secret={SECRET} -r {REALM}"
    quiet = f"--allow-loopback-peers --no-cli --no-tls --no-dtls --no-tcp-relay --log-file={folder}/log --pidfile={folder}/pid"
    return ["turnserver", *options.split(), *quiet.split(), "--simple-log", f"--db={folder}/db"]


def run() -> list[Figure]:
    """Needs root (raw socket), two CPUs and coturn. Takes about a minute."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise RuntimeError("the bench needs two CPUs, one for the relay alone")
    ours: dict[Load, Measured] = {load: Measured() for load in LOADS}
    coturns: dict[Load, Measured] = {load: Measured() for load in LOADS}
    os.sched_setaffinity(0, {cpus[0]})
    try:
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            port, coturn_port = _free_port(), _free_port()
            own = [sys.executable, "-m", "tests.bench.turn_rate", "serve", str(port)]
            our_relay = stack.enter_context(_relay(own, port, cpus[1]))
            coturn = stack.enter_context(_relay(_coturn(coturn_port, Path(folder)), coturn_port, cpus[1]))
            for _, load in itertools.product(range(ROUNDS), LOADS):
                for measured, at in ((ours[load], our_relay), (coturns[load], coturn)):
                    relayed, offered = _measure(load, at)
                    measured.relayed.append(relayed)
                    measured.offered.append(offered)
                    log.debug("%s: port %d relayed %.0f of %.0f offered", load.name, at.port, relayed, offered)
    finally:
        os.sched_setaffinity(0, set(cpus))
    figures = []
    for load in LOADS:
        rate, other = statistics.median(ours[load].relayed), statistics.median(coturns[load].relayed)
        goal = f">= {load.goal} of coturn's"
        figures.append(
            Figure(f"turn-rate: {load.name}", rate, "packets/s", goal, rate >= load.goal * other, "coturn -m 1", other)
        )
    return figures


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        uvloop.run(_serve(int(sys.argv[2])))  # as covey-server does
    else:
        logging.basicConfig(level=logging.DEBUG)
        for figure in run():
            assert figure.peer_value is not None
            print(
                f"{figure.name:55} {figure.value:9.0f}  coturn {figure.peer_value:9.0f}  x {figure.value / figure.peer_value:.2f}"
            )
