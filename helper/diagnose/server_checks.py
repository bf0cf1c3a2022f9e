"""The doctor's looks at the servers: management, signal, STUN, TURN by each transport, clock, captive portals."""

import asyncio
import contextlib
import hashlib
import hmac
import ipaddress
import socket
import time
from collections.abc import Iterable, Sequence
from typing import cast

from aioice import stun

from helper.clients.dial import connect
from helper.clients.failures import losses_told
from helper.diagnose.check import Check, milliseconds
from helper.diagnose.nat import NatKind, family_kind
from helper.diagnose.patient import Patient
from helper.diagnose.web import ask_plainly, ask_server
from helper.engine.local_network import source_for
from helper.relay.connect import pinned_context, resolve, trusting_context
from helper.relay.servers import TurnServer
from protocol.addresses import Address, IPAddress
from protocol.errors import CoveyError
from protocol.generated.management_pb2 import Empty
from protocol.generated.management_pb2_grpc import ManagementServiceStub
from protocol.join_link import ServerLocation
from protocol.stun import HEADER_LENGTH

CONNECT_TIMEOUT = 5.0  # seconds
TURN_TIMEOUT = 4.0  # seconds for each server and transport
MAX_TURN = 12  # servers and transports
RETRIES = (0.2, 0.4, 0.8, 1.6)  # seconds between questions over UDP
RIGHT = 60.0  # seconds that the clock may be off
NOT_JOINED = Check(None, "There is no server yet that could be asked.")


async def management(server: ServerLocation | None) -> Check:
    if server is None:
        return NOT_JOINED
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT + 1):
            channel = await connect(server, timeout=CONNECT_TIMEOUT)
            try:
                began = loop.time()
                with losses_told(server.url):
                    await ManagementServiceStub(channel).GetServerKey(Empty())
                return Check(True, f"The management server {server.url} answers in {milliseconds(loop.time() - began)}.")
            finally:
                await channel.close()
    except CoveyError as error:
        return Check(False, f"The management server can't be used: {error}.", error.hint)
    except TimeoutError:
        return Check(False, f"The management server {server.url} does not answer.", CoveyError.hint)


async def signal(patient: Patient) -> Check:
    server = patient.signal
    if server is None:
        return NOT_JOINED
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        channel = await connect(server, timeout=CONNECT_TIMEOUT)
        took = loop.time() - began
        await channel.close()
    except CoveyError as error:
        return Check(False, f"The signal server can't be used: {error}.", error.hint)
    link = patient.status["signal"]
    if patient.is_up and not link["connected"]:
        step = "It is tried again by itself; `covey events` tells when it was lost."
        return Check(False, f"The signal server {server.url} takes connections, but ours is not open: {link['error']}.", step)
    return Check(True, f"The signal server {server.url} takes a connection within {milliseconds(took)}.")


async def clock(server: ServerLocation | None) -> Check:
    if server is None:
        return NOT_JOINED
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            began = time.time()
            theirs = (await ask_server(server)).time
            here = (began + time.time()) / 2
    except (OSError, ValueError, TimeoutError):
        theirs = None
    if theirs is None:
        return Check(None, "The server does not tell the time, so the clock can't be compared.")
    ahead = here - (theirs + 0.5)  # its seconds are whole
    if abs(ahead) <= RIGHT:
        return Check(True, "The clock is right, within a second or two of the server's." if abs(ahead) < 3 else _off(ahead))
    return Check(False, _off(ahead), "Set it: `timedatectl set-ntp true`.")


def _off(ahead: float) -> str:
    seconds = abs(ahead)
    unit, length = next(
        (one for one in (("days", 86400), ("hours", 3600), ("minutes", 60)) if seconds >= 2 * one[1]), ("seconds", 1)
    )
    return f"The clock is {seconds / length:.0f} {unit} {'ahead of' if ahead > 0 else 'behind'} the server's."


# ---- UDP


async def stun_addresses(servers: Iterable[tuple[str, int]]) -> list[Address]:
    """Where the STUN servers are; names that lead nowhere are left out."""
    loop, found = asyncio.get_running_loop(), list[Address]()
    for host, port in servers:
        try:
            async with asyncio.timeout(2):
                infos = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
            found += [Address.of(str(info[4][0]), port) for info in infos]
        except (OSError, ValueError, TimeoutError):
            continue
    return list(dict.fromkeys(found))


async def nat_of(servers: Sequence[Address], own: Iterable[IPAddress]) -> tuple[NatKind, dict[Address, float | None]]:
    """The kind of NAT, that of IPv4 if it answers, and the seconds to each server that there is a route to; None: silent."""
    routed = {server: source for server in servers if (source := source_for(server.ip)) is not None}
    families = [[server for server in routed if server.ip.version == version] for version in (4, 6)]
    asked = [family for family in families if family]
    kinds = await asyncio.gather(*(family_kind(family, {*own, *routed.values()}) for family in asked))
    answered = [kind for kind in kinds if kind.address is not None]
    best = (answered or list(kinds) or [NatKind()])[0]
    trips: dict[Address, float | None] = {
        server: kind.round_trips.get(server) for family, kind in zip(asked, kinds, strict=True) for server in family[:6]
    }
    return best, trips


def udp(trips: dict[Address, float | None]) -> Check:
    if not trips:
        return Check(None, "No STUN server is known that could show whether UDP passes.")
    if any(took is not None for took in trips.values()):
        return Check(True, "UDP passes in and out of this network.")
    step = "Ask who runs this network to let UDP out; until then all goes by the relay over TCP and is slower."
    return Check(False, "No UDP comes back from any server: this network blocks it, or the servers are off.", step)


def stun_servers(trips: dict[Address, float | None]) -> Check:
    if not trips:
        return Check(None, "No STUN server is known, or there is no route to one.")
    told = ", ".join(
        f"{server} {'does not answer' if took is None else 'answers in ' + milliseconds(took)}" for server, took in trips.items()
    )
    is_any = any(took is not None for took in trips.values())
    return Check(is_any, f"STUN: {told}.", "" if is_any else "Is UDP blocked here? Is the server's UDP port 3478 open?")


# ---- TURN


async def turn(servers: Sequence[TurnServer], fingerprint: bytes | None) -> Check:
    """Every server by every transport is asked for what it must refuse: that needs no password and leaves nothing behind."""
    if not servers:
        return Check(None, "No relay is known yet.")
    routed = [server for server in servers if _may_reach(server)][:MAX_TURN] or list(servers[:MAX_TURN])
    took = await asyncio.gather(*(_ask_turn(server, fingerprint) for server in routed))
    told: dict[str, list[str]] = {}
    for server, one in zip(routed, took, strict=True):
        by = f"{server.transport.upper()} {server.port} {'does not answer' if one is None else milliseconds(one)}"
        told.setdefault(server.host, []).append(by)
    is_any = any(one is not None for one in took)
    step = "Without a relay only direct paths work. Are the server's ports 3478 (UDP, TCP) and 443 (TCP) open to this network?"
    shown = "; ".join(f"{host} by {', '.join(ways)}" for host, ways in told.items())
    return Check(is_any, f"Relay: {shown}.", "" if is_any else step)


def _may_reach(server: TurnServer) -> bool:
    try:
        return source_for(ipaddress.ip_address(server.host)) is not None
    except ValueError:
        return True


async def _ask_turn(server: TurnServer, fingerprint: bytes | None) -> float | None:
    """Seconds from the question to the answer; None: there was none."""
    message = stun.Message(stun.Method.ALLOCATE, stun.Class.REQUEST)
    message.attributes["REQUESTED-TRANSPORT"] = 0x11000000
    message.add_fingerprint()
    try:
        async with asyncio.timeout(TURN_TIMEOUT):
            address = next(iter(await resolve(server)), None)
            if address is None:
                return None
            if server.transport == "udp":
                return await _ask_by_udp(address, bytes(message), message.transaction_id)
            return await _ask_by_stream(server, address, fingerprint, bytes(message), message.transaction_id)
    except (OSError, ValueError, CoveyError, TimeoutError, asyncio.IncompleteReadError):
        return None


class _Answers(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes] = asyncio.Queue(8)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            self.queue.put_nowait(data)


async def _ask_by_udp(address: Address, data: bytes, transaction: bytes) -> float | None:
    loop = asyncio.get_running_loop()
    transport, answers = await loop.create_datagram_endpoint(_Answers, remote_addr=(address.host, address.port))
    try:
        for pause in RETRIES:
            began = loop.time()
            transport.sendto(data)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    while (await answers.queue.get())[8:HEADER_LENGTH] != transaction:
                        pass
                    return loop.time() - began
        return None
    finally:
        transport.abort()


async def _ask_by_stream(
    server: TurnServer, address: Address, fingerprint: bytes | None, data: bytes, transaction: bytes
) -> float | None:
    loop, context = asyncio.get_running_loop(), None
    if server.transport == "tls":
        context = pinned_context() if fingerprint is not None else await asyncio.to_thread(trusting_context)
    name = server.host if context is not None else None
    reader, writer = await asyncio.open_connection(address.host, address.port, ssl=context, server_hostname=name)
    try:
        if context is not None and fingerprint is not None:
            certificate = cast(bytes, writer.get_extra_info("ssl_object").getpeercert(binary_form=True) or b"")
            if not hmac.compare_digest(hashlib.sha256(certificate).digest(), fingerprint):
                return None
        began = loop.time()
        writer.write(data)
        head = await reader.readexactly(HEADER_LENGTH)
        return loop.time() - began if head[8:HEADER_LENGTH] == transaction else None
    finally:
        writer.transport.abort()


# ---- captive portals


async def captive_portal(server: ServerLocation | None, reached: bool) -> Check:
    """Where the server is out of reach: does something else answer in its place, as the login pages of hotels do?"""
    if reached:
        return Check(True, "No login page of a network is in the way.")
    if server is None:
        return NOT_JOINED
    try:
        async with asyncio.timeout(2):
            head = await ask_plainly(server.hosts[0])
    except (OSError, ValueError, TimeoutError):
        return Check(None, "No login page of a network answers in the server's place.")
    step = "Open any page in a browser and sign in to this network; Covey goes on by itself."
    if head.code in (301, 302, 303, 307, 308, 511):
        return Check(False, "This network answers in the server's place and wants you to sign in first.", step)
    return Check(None, "Something answers on the server's port 80; a network that wants you to sign in would do so.", step)
