"""Open a connection to a TURN server: names, sockets, TLS and its certificate."""

import asyncio
import errno
import functools
import hashlib
import hmac
import ipaddress
import socket
import ssl
from collections.abc import Callable, Sequence

from helper.http_proxy.dial import Place, Via, dial
from helper.http_proxy.way import WAY_OUT
from helper.names import look_up
from helper.relay.datagrams import mark, prepare
from helper.relay.errors import Reached, RelayUnreachable
from helper.relay.links import OnFrames, StreamLink, UdpLink
from helper.relay.servers import TurnServer
from protocol.addresses import Address
from protocol.errors import CertificateMismatch, CertificateUntrusted, ServerUnreachable

RESOLVE_WITHIN = 3.0  # seconds; ours
CONNECT_WITHIN = 5.0  # seconds, TLS included; ours
ALPN = "stun.turn"  # RFC 7443


async def resolve(server: TurnServer) -> Sequence[Place]:
    """The server's addresses, in the order the system prefers, or for TCP and TLS the way through a proxy.

    Raises RelayUnreachable.
    """
    if server.transport != "udp" and (through := await WAY_OUT.places(server.host, server.port)):
        return through
    try:
        return [Address(ipaddress.ip_address(server.host), server.port)]
    except ValueError:
        pass
    try:
        async with asyncio.timeout(RESOLVE_WITHIN):
            found = await look_up(server.host)
    except TimeoutError:
        sentence = f"the name of the relay {server.host} was not resolved in time"
        raise RelayUnreachable(sentence, reached=Reached.NO_NAME) from None
    except (OSError, ValueError):
        raise RelayUnreachable(f"there is no relay of the name {server.host}", reached=Reached.NO_NAME) from None
    if not found:
        raise RelayUnreachable(f"the name of the relay {server.host} has no usable address", reached=Reached.NO_NAME)
    return [Address(ip, server.port) for ip in found]


def connect_udp(
    server: TurnServer, address: Place, room: memoryview, on_frames: OnFrames, on_refused: Callable[[], None], fwmark: int
) -> UdpLink:
    """Raises RelayUnreachable if this machine has no route there."""
    if isinstance(address, Via):
        raise ValueError("no proxy takes UDP")
    try:
        sock = socket.socket(socket.AF_INET6 if address.is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
    except OSError as error:  # a machine without IPv6, or no descriptor left
        raise _unreachable(server, error) from None
    try:
        sock.setblocking(False)
        prepare(sock, fwmark=fwmark)
        sock.connect((address.host, address.port))
        return UdpLink(sock, room, on_frames, on_refused)
    except (OSError, ValueError, OverflowError) as error:
        sock.close()
        raise _unreachable(server, error) from None


async def connect_stream(
    server: TurnServer, place: Place, on_frames: OnFrames, on_lost: Callable[[], None], fwmark: int, fingerprint: bytes | None
) -> StreamLink:
    """Connect over TCP or TLS. Nothing of TURN is sent before the certificate has been judged.

    Args:
        fingerprint: SHA-256 of the one certificate (DER) to accept, 32 bytes; None: the system's authorities and the name.
    Raises:
        RelayUnreachable, CertificateMismatch, CertificateUntrusted
    """
    tls = None
    if server.transport == "tls":
        tls = pinned_context() if fingerprint is not None else await asyncio.to_thread(trusting_context)
    try:
        async with asyncio.timeout(CONNECT_WITHIN):
            link, transport = await _open(server, place, StreamLink(on_frames, on_lost), fwmark, tls)
    except ssl.SSLCertVerificationError as error:
        raise CertificateUntrusted(f"the certificate of the relay {server} is not trusted: {error.verify_message}") from None
    except TimeoutError:
        raise RelayUnreachable(f"the relay {server} does not answer") from None
    except ServerUnreachable as error:  # by a proxy's word
        raise RelayUnreachable(f"the relay {server} cannot be reached: {error}", error.hint, reached=Reached.PROXY) from None
    except (OSError, ValueError, OverflowError) as error:  # ValueError: no name for TLS
        raise _unreachable(server, error) from None
    if tls is not None and fingerprint is not None:
        certificate = transport.get_extra_info("ssl_object").getpeercert(binary_form=True) or b""
        if not hmac.compare_digest(hashlib.sha256(certificate).digest(), fingerprint):
            link.close()
            raise CertificateMismatch(f"the relay {server} shows another certificate than the server's")
    return link


@functools.cache
def pinned_context() -> ssl.SSLContext:
    """Verifies nothing: the caller compares the certificate's fingerprint."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([ALPN])
    return context


@functools.cache
def trusting_context() -> ssl.SSLContext:
    """Trusts the system's authorities. Reading them takes some 20 ms: call it in a thread."""
    context = ssl.create_default_context()
    context.set_alpn_protocols([ALPN])
    return context


async def _open(
    server: TurnServer, place: Place, link: StreamLink, fwmark: int, tls: ssl.SSLContext | None
) -> tuple[StreamLink, asyncio.Transport]:
    def prepare_stream(sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        mark(sock, fwmark)

    sock = await dial(place, prepare_stream)
    try:
        name = server.host if tls else None
        transport, _ = await asyncio.get_running_loop().create_connection(lambda: link, sock=sock, ssl=tls, server_hostname=name)
    except BaseException:
        sock.close()
        raise
    return link, transport


def _unreachable(server: TurnServer, error: Exception) -> RelayUnreachable:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return RelayUnreachable(f"the relay {server} cannot be reached: {reason}", reached=_reached(error))


def _reached(error: Exception) -> Reached:
    if isinstance(error, ssl.SSLError):
        return Reached.TLS
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE):
        return Reached.REFUSED
    return Reached.SILENT if number == errno.ETIMEDOUT else Reached.NO_ROUTE
