"""HTTP just far enough for the doctor: one request for nothing, and the head of the answer."""

import asyncio
import hashlib
import hmac
import ipaddress
import ssl
from collections.abc import Iterable
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from helper.engine.local_network import source_for
from helper.http_proxy.dial import Place, dial
from helper.http_proxy.way import WAY_OUT
from helper.names import look_up
from protocol.addresses import Address, IPAddress
from protocol.errors import ServerUnreachable
from protocol.join_link import ServerLocation, bracketed

MAX_HEAD = 16 * 1024  # bytes
HOSTS, HOST_TIMEOUT = 3, 2.0  # of one server that are asked one after the other, and seconds for each


class Head(NamedTuple):
    """`fields` by their names in lower case."""

    code: int
    fields: dict[str, str]

    @property
    def time(self) -> float | None:
        """The server's clock, in seconds since 1970."""
        try:
            return parsedate_to_datetime(self.fields["date"]).timestamp()
        except (KeyError, ValueError, TypeError, OverflowError):
            return None


async def ask_server(server: ServerLocation, *, verify: bool = True) -> Head:
    """What the server answers a browser. Raises OSError or ValueError, also for another certificate than its own.

    `verify`: False takes any certificate where none is pinned; what is said then may be anybody's word.
    """
    context = None
    if server.tls:
        context = ssl.create_default_context() if verify and server.fingerprint is None else _unverified()
        context.set_alpn_protocols(["http/1.1"])
    trouble: OSError | ValueError = OSError("there is no way to the server")
    proxied = [host for host in server.hosts if WAY_OUT.proxy_for(host, server.port) is not None]
    for host in (proxied or reachable(server.hosts))[:HOSTS]:
        try:
            async with asyncio.timeout(HOST_TIMEOUT):
                return await _ask(await _place(host, server.port), host, context, server.fingerprint)
        except ssl.SSLCertVerificationError:
            raise
        except (OSError, ValueError) as error:
            trouble = error
    raise trouble


def reachable(hosts: Iterable[str]) -> list[str]:
    """Names, and those addresses that there is a route to."""
    return [host for host in hosts if (ip := _literal(host)) is None or source_for(ip) is not None]


async def ask_plainly(host: str, port: int = 80) -> Head:
    """What answers straight there without TLS. Raises OSError or ValueError."""
    return await _ask(await _straight(host, port), host, None, None)


async def _place(host: str, port: int) -> Place:
    return next(iter(await WAY_OUT.places(host, port)), None) or await _straight(host, port)


async def _straight(host: str, port: int) -> Address:
    ip = next((ip for ip in await look_up(host) if source_for(ip) is not None), None)
    if ip is None:
        raise OSError("there is no way there")
    return Address(ip, port)


async def _ask(place: Place, host: str, context: ssl.SSLContext | None, fingerprint: bytes | None) -> Head:
    reader, writer = await open_stream(place, context, host)
    try:
        if context is not None and fingerprint is not None:
            certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True) or b""
            if not hmac.compare_digest(hashlib.sha256(certificate).digest(), fingerprint):
                raise ValueError("another certificate than the server's")
        writer.write(f"HEAD / HTTP/1.1\r\nHost: {bracketed(host)}\r\nConnection: close\r\n\r\n".encode())
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            raise ValueError("no answer of HTTP") from None
        return _read(head.decode("latin-1"))
    finally:
        writer.transport.abort()


async def open_stream(
    place: Place, context: ssl.SSLContext | None, host: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect, with TLS if there is a context. Raises OSError or ValueError."""
    try:
        sock = await dial(place)
    except ServerUnreachable as error:  # by a proxy's word
        raise OSError(str(error)) from None
    try:
        name = host if context is not None else None
        return await asyncio.open_connection(sock=sock, ssl=context, server_hostname=name, limit=MAX_HEAD)
    except BaseException:
        sock.close()
        raise


def _read(text: str) -> Head:
    first, *rest = text.split("\r\n")
    protocol, _, code = first.partition(" ")
    if not protocol.startswith("HTTP/1.") or not code[:3].isdecimal():
        raise ValueError("no answer of HTTP")
    fields: dict[str, str] = {}
    for line in rest:
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.strip().lower(), value.strip())
    return Head(int(code[:3]), fields)


def _literal(host: str) -> IPAddress | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _unverified() -> ssl.SSLContext:
    """For a certificate that is compared by its fingerprint."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
