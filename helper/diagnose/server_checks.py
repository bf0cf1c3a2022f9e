"""The doctor's looks at the servers: management, signal, STUN, TURN by each transport."""

import asyncio
import contextlib
import hashlib
import hmac
import ipaddress
from collections.abc import Iterable, Sequence
from typing import cast

from aioice import stun

from helper.clients.dial import connect
from helper.clients.failures import losses_told
from helper.diagnose.check import Check, milliseconds
from helper.diagnose.nat import NatKind, family_kind
from helper.diagnose.patient import Patient
from helper.diagnose.web import open_stream
from helper.engine.local_network import source_for
from helper.http_proxy.dial import Place
from helper.http_proxy.way import WAY_OUT
from helper.names import look_up
from helper.relay.connect import pinned_context, resolve, trusting_context
from helper.relay.servers import TurnServer
from protocol.addresses import Address, IPAddress
from protocol.errors import CoveyError, ServerUnreachable
from protocol.generated.management_pb2 import Empty
from protocol.generated.management_pb2_grpc import ManagementServiceStub
from protocol.join_link import ServerLocation
from protocol.stun import HEADER_LENGTH

CONNECT_TIMEOUT = 5.0  # seconds
TURN_TIMEOUT = 4.0  # seconds for each server and transport
MAX_TURN = 12  # servers and transports
RETRIES = (0.2, 0.4, 0.8, 1.6)  # seconds between questions over UDP
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
                took = milliseconds(loop.time() - began)
                through = WAY_OUT.words(server.hosts[0], server.port)
                return Check(True, f"The management server {server.url} answers in {took}{through}.", answered=True)
            finally:
                await channel.close()
    except CoveyError as error:
        return Check(False, f"The management server can't be used: {error}.", error.hint, answered=_answered(error))
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
        return Check(False, f"The signal server can't be used: {error}.", error.hint, answered=_answered(error))
    link = patient.status["signal"]
    if patient.is_up and not link["connected"]:
        step = "It is tried again by itself; `covey events` tells when it was lost."
        why = f": {link['error']}" if link["error"] else ""
        sentence = f"The signal server {server.url} takes connections, but ours is not open{why}."
        return Check(False, sentence, step, answered=True)
    return Check(True, f"The signal server {server.url} takes a connection within {milliseconds(took)}.", answered=True)


def _answered(error: CoveyError) -> bool:
    return not isinstance(error, ServerUnreachable)


# ---- UDP


async def stun_addresses(servers: Iterable[tuple[str, int]]) -> list[Address]:
    """Where the STUN servers are; names that lead nowhere are left out."""
    found: list[Address] = []
    for host, port in servers:
        try:
            async with asyncio.timeout(2):
                found += [Address(ip, port) for ip in await look_up(host)]
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


def udp(trips: dict[Address, float | None], answered: bool) -> Check:
    """`answered`: some server answers over TCP. Where none does, silence over UDP says nothing about this network."""
    if not trips:
        return Check(None, "Whether UDP passes can't be told: no STUN server is known, or there is no route to one.")
    if any(took is not None for took in trips.values()):
        return Check(True, "UDP passes in and out of this network.")
    if not answered:
        sentence = "No server answers, neither over UDP nor over TCP, so whether this network lets UDP out can't be told."
        return Check(None, sentence, "See the check `management`: when the server answers again, this can be judged.")
    step = "Ask who runs this network to let UDP out; until then all goes by the relay over TCP and is slower."
    return Check(False, "No UDP comes back from any server, though they answer over TCP: this network blocks it.", step)


def stun_servers(trips: dict[Address, float | None], answered: bool) -> Check:
    if not trips:
        return Check(None, "No STUN server is known, or there is no route to one.")
    told = ", ".join(
        f"{server} {'does not answer' if took is None else 'answers in ' + milliseconds(took)}" for server, took in trips.items()
    )
    if any(took is not None for took in trips.values()):
        return Check(True, f"STUN: {told}.")
    closed = "Is UDP blocked here? Is the server's UDP port 3478 open?"
    off = "The server does not answer over TCP either: is it running?"
    return Check(False, f"STUN: {told}.", closed if answered else off)


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
    answered = any(one is not None and server.transport != "udp" for server, one in zip(routed, took, strict=True))
    return Check(is_any, f"Relay: {shown}.", "" if is_any else step, answered)


def _may_reach(server: TurnServer) -> bool:
    if server.transport != "udp" and WAY_OUT.proxy_for(server.host, server.port) is not None:
        return True
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
            place = next(iter(await resolve(server)), None)
            if place is None:
                return None
            if isinstance(place, Address) and server.transport == "udp":
                return await _ask_by_udp(place, bytes(message), message.transaction_id)
            return await _ask_by_stream(server, place, fingerprint, bytes(message), message.transaction_id)
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
    server: TurnServer, place: Place, fingerprint: bytes | None, data: bytes, transaction: bytes
) -> float | None:
    loop, context = asyncio.get_running_loop(), None
    if server.transport == "tls":
        context = pinned_context() if fingerprint is not None else await asyncio.to_thread(trusting_context)
    reader, writer = await open_stream(place, context, server.host)
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
