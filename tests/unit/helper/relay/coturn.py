"""A real TURN server (coturn) on loopback, for tests."""

import asyncio
import asyncio.subprocess
import contextlib
import hashlib
import pathlib
import shutil
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from helper.relay.relay import Relay
from helper.relay.servers import Transport, TurnServer
from protocol.addresses import Address, IPAddress

needs_coturn = pytest.mark.skipif(shutil.which("turnserver") is None, reason="coturn is not installed")
WITHIN = 20.0  # seconds, generous


def free_port() -> int:
    """A port that is free for UDP and TCP."""
    while True:
        with socket.socket(type=socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            udp.bind(("127.0.0.1", 0))
            port = int(udp.getsockname()[1])
            with contextlib.suppress(OSError):
                tcp.bind(("127.0.0.1", port))
                return port


async def make_certificate(folder: pathlib.Path) -> bytes:
    """Write cert.pem and key.pem; the certificate's fingerprint is the answer."""
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    process = await asyncio.create_subprocess_exec(
        *command.split(), "-keyout", "key.pem", "-out", "cert.pem", cwd=folder, stderr=asyncio.subprocess.DEVNULL
    )
    assert await process.wait() == 0
    der = await asyncio.create_subprocess_exec(
        *["openssl", "x509", "-in", "cert.pem", "-outform", "DER"], cwd=folder, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await der.communicate()
    return hashlib.sha256(out).digest()


class Coturn:
    def __init__(self, folder: pathlib.Path, *options: str) -> None:
        self.folder, self.options = folder, options
        self.port, self.tls_port = free_port(), free_port()
        self.password = "secret"
        self.process: asyncio.subprocess.Process | None = None

    def server(self, transport: Transport = "udp", **changes: Any) -> TurnServer:
        port = self.tls_port if transport == "tls" else self.port
        values = {"host": "127.0.0.1", "port": port, "transport": transport, "username": "u", "password": self.password}
        return TurnServer(**{**values, **changes})

    async def start(self) -> None:
        """Start it and wait until it answers on UDP and TCP."""
        ports = f"-p {self.port} --tls-listening-port {self.tls_port} -L 127.0.0.1 -X 127.0.0.1 -m 1 --no-cli"
        keys = "--cert cert.pem --pkey key.pem" if (self.folder / "cert.pem").exists() else "--no-tls --no-dtls"
        users = f"-a -u u:{self.password} -r covey --allow-loopback-peers --cli-password x -l stdout --simple-log -n"
        self.process = await asyncio.create_subprocess_exec(
            "turnserver", *ports.split(), *keys.split(), *users.split(), *self.options,
            cwd=self.folder, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(WITHIN):
            while True:
                with socket.socket(type=socket.SOCK_DGRAM) as probe:
                    probe.setblocking(False)
                    probe.connect(("127.0.0.1", self.port))
                    with contextlib.suppress(OSError, TimeoutError):
                        probe.send(bytes.fromhex("000100002112a442") + bytes(12))
                        await asyncio.wait_for(loop.sock_recv(probe, 500), 0.05)
                        _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                        writer.close()
                        return
                await asyncio.sleep(0.01)

    async def stop(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


@contextlib.asynccontextmanager
async def running_coturn(folder: pathlib.Path, *options: str) -> AsyncIterator[Coturn]:
    server = Coturn(folder, *options)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


class Socket(asyncio.DatagramProtocol):
    """A UDP socket that stands for WireGuard, or for a peer; 4 MiB of buffer."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[tuple[bytes, Address]] = asyncio.Queue()
        self.transport: Any = None

    @classmethod
    async def open(cls) -> "Socket":
        sock = socket.socket(type=socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind(("127.0.0.1", 0))
        _, protocol = await asyncio.get_running_loop().create_datagram_endpoint(cls, sock=sock)
        return protocol

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.address = Address.of(*transport.get_extra_info("sockname"))

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.received.put_nowait((data, Address.of(*addr)))

    def send(self, data: bytes, to: Address) -> None:
        self.transport.sendto(data, (to.host, to.port))

    async def next(self) -> tuple[bytes, Address]:
        async with asyncio.timeout(WITHIN):
            return await self.received.get()


class Site:
    """A relay under test with a socket in WireGuard's place and one in a peer's."""

    def __init__(self, wireguard: Socket, peer: Socket) -> None:
        self.wireguard, self.peer = wireguard, peer
        self.stun: asyncio.Queue[tuple[bytes, Address]] = asyncio.Queue()
        self.injected: list[tuple[bytes, Address, IPAddress]] = []
        self.changed = asyncio.Event()
        self.relay = Relay(
            wireguard_port=wireguard.address.port,
            on_stun=lambda data, peer: self.stun.put_nowait((data, peer)),
            on_change=self.changed.set,
            inject=lambda data, source, base: self.injected.append((bytes(data), source, base)),
        )

    async def until(self, condition: Any) -> None:
        """Wait until a change of the relay makes the condition true."""
        async with asyncio.timeout(WITHIN):
            while not condition(self.relay):
                await self.changed.wait()
                self.changed.clear()

    async def allocated(self) -> Address:
        await self.until(lambda relay: relay.relayed_address is not None)
        assert self.relay.relayed_address is not None
        return self.relay.relayed_address

    async def wake_peer(self) -> None:
        """Open a path to the peer and see a datagram through each way."""
        path = self.relay.open_path(self.peer.address)
        self.wireguard.send(b"\x04out", path.endpoint)
        data, relayed = await self.peer.next()
        assert data == b"\x04out"
        self.peer.send(b"\x04in", relayed)
        assert await self.wireguard.next() == (b"\x04in", path.endpoint)


@contextlib.asynccontextmanager
async def running_site() -> AsyncIterator[Site]:
    site = Site(await Socket.open(), await Socket.open())
    tasks = [asyncio.create_task(site.relay.run()), asyncio.create_task(site.relay.ask_others())]
    try:
        yield site
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        site.wireguard.transport.close()
        site.peer.transport.close()
        await asyncio.sleep(0)
