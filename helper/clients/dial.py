"""From where a server may be to an open gRPC channel to it, or to the sentence that says why there is none.

Every address is probed side by side (race.py, probe.py), the certificate is judged (trust.py), and only then gRPC dials the
address that won, with that very certificate or those very authorities as its roots. Where the probe went through a proxy, gRPC
goes through that very one; what it would read in the environment by itself plays no part.
"""

import asyncio
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime

import grpc
import grpc.aio

from helper.clients.probe import NotHttp2, NotTls, probe_plain, probe_tls
from helper.clients.race import race
from helper.clients.trust import check_pin, name_in, pinned_context, public_context, untrusted, wrong_dates
from helper.http_proxy.dial import Place, Via
from protocol.errors import CertificateUntrusted, CoveyError, ServerUnreachable, WrongScheme
from protocol.join_link import ServerLocation, bracketed

MAX_MESSAGE = 16 * 1024 * 1024  # bytes; what NetBird's clients take
CHANNEL_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.keepalive_time_ms", 20_000),  # servers allow a ping each 15 s, proxies cut streams that are silent for 60 s
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.http2.max_pings_without_data", 0),  # no limit: a Sync stream is silent for hours
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.enable_retries", 0),  # whether to ask again is for our callers to say
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.min_reconnect_backoff_ms", 10_000),  # despite its name: how long one attempt to connect may take
)


@dataclass(frozen=True, slots=True)
class Trust:
    """How gRPC is to know the server: roots (PEM), the name to verify, and the certificate (DER) that the probe saw."""

    roots: bytes
    name: str
    certificate: bytes


async def connect(server: ServerLocation, *, timeout: float = 10.0) -> grpc.aio.Channel:
    """Open a channel to the first of the server's addresses that proves to be it. The caller closes the channel.

    Args:
        timeout: seconds until ServerUnreachable, name lookups included.
    Raises:
        ServerUnreachable: nothing answers; the sentence names every address and its reason.
        WrongScheme: TLS against a server without, or the reverse.
        CertificateMismatch, CertificateUntrusted, ClockOff: somebody answers whom we can't take for our server.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    dialer = _TlsDialer(server) if server.tls else _PlainDialer(server)
    _, address, trust = await race(server.hosts, server.port, dialer.probe, timeout=timeout)
    channel = _channel(server, address, trust)
    try:
        async with asyncio.timeout_at(deadline):
            await _ready(channel, address, trust)
    except TimeoutError:
        await channel.close()
        raise ServerUnreachable(f"{address} answers, but opens no gRPC channel within {timeout:.0f} s") from None
    except BaseException:
        await channel.close()
        raise
    return channel


async def certificate_of(server: ServerLocation, *, timeout: float) -> bytes:
    """The certificate (DER) that the server shows now, judged as for `connect`; empty without TLS. Raises as `connect` does."""
    if not server.tls:
        return b""
    *_, trust = await race(server.hosts, server.port, _TlsDialer(server).probe, timeout=timeout)
    return trust.certificate


def _channel(server: ServerLocation, place: Place, trust: Trust | None) -> grpc.aio.Channel:
    address = place.at if isinstance(place, Via) else place
    target = f"{'ipv6' if address.is_ipv6 else 'ipv4'}:{address}"
    options = [*CHANNEL_OPTIONS, *(_through(place) if isinstance(place, Via) else ())]
    if trust is None:
        authority = ("grpc.default_authority", f"{bracketed(server.hosts[0])}:{server.port}")
        return grpc.aio.insecure_channel(target, options=[*options, authority])
    credentials = grpc.ssl_channel_credentials(root_certificates=trust.roots)
    name = ("grpc.ssl_target_name_override", trust.name)
    return grpc.aio.secure_channel(target, credentials, options=[*options, name])


def _through(place: Via) -> list[tuple[str, str]]:
    """What gRPC's core passes on to its own CONNECT; its headers are lines of `name:value`."""
    found = [("grpc.http_connect_server", f"{bracketed(place.host)}:{place.port}")]
    if place.proxy.authorization:
        found.append(("grpc.http_connect_headers", f"Proxy-Authorization:{place.proxy.authorization}"))
    return found


async def _ready(channel: grpc.aio.Channel, address: Place, trust: Trust | None) -> None:
    state = channel.get_state(try_to_connect=True)
    while state is not grpc.ChannelConnectivity.READY:
        if state in (grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.SHUTDOWN):
            raise _refused_by_grpc(address, trust)
        await channel.wait_for_state_change(state)
        state = channel.get_state(try_to_connect=True)


def _refused_by_grpc(address: Place, trust: Trust | None) -> CoveyError:
    """The probe was content and gRPC is not: a pinned certificate whose dates are wrong, or the network broke in between."""
    if trust is not None and (found := wrong_dates(trust.certificate, str(address), datetime.now(UTC))):
        return found
    return ServerUnreachable(f"{address} answers, but opens no gRPC channel")


class _PlainDialer:
    def __init__(self, server: ServerLocation) -> None:
        self._server = server

    async def probe(self, host: str, address: Place) -> None:
        try:
            await probe_plain(address)
        except NotHttp2 as error:
            try:
                await probe_tls(address, pinned_context(), host)
            except ServerUnreachable:
                raise error from None
            raise WrongScheme(f"{address} speaks TLS: its address is https://{bracketed(host)}:{address.port}") from None


class _TlsDialer:
    def __init__(self, server: ServerLocation) -> None:
        self._pin = server.fingerprint
        self._context = pinned_context() if server.fingerprint is not None else public_context()

    async def probe(self, host: str, address: Place) -> Trust:
        try:
            tls = await probe_tls(address, self._context, host)
        except NotTls as error:
            raise await self._without_tls(host, address, error) from None
        except ssl.SSLCertVerificationError as error:
            raise untrusted(error, str(address), await _certificate_of(host, address)) from None
        certificate = tls.getpeercert(binary_form=True)
        if certificate is None:
            raise CertificateUntrusted(f"{address} shows no certificate")
        if self._pin is not None:
            check_pin(certificate, self._pin, str(address))
        if tls.selected_alpn_protocol() != "h2":
            raise ServerUnreachable(f"{address} is no Covey or NetBird server: it speaks TLS, but no HTTP/2")
        if self._pin is None:
            roots = "".join(map(ssl.DER_cert_to_PEM_cert, self._context.get_ca_certs(binary_form=True)))
            return Trust(roots.encode(), host, certificate)
        return Trust(ssl.DER_cert_to_PEM_cert(certificate).encode(), name_in(certificate, host), certificate)

    async def _without_tls(self, host: str, address: Place, error: NotTls) -> CoveyError:
        try:
            await probe_plain(address)
        except ServerUnreachable:
            return error
        if self._pin is not None:  # following a stranger's word to a connection without TLS is no good advice here
            return WrongScheme(
                f"{address} speaks without TLS, but the join link names a certificate",
                "Get a fresh join link from whoever runs the server.",
            )
        return WrongScheme(f"{address} speaks without TLS: its address is http://{bracketed(host)}:{address.port}")


async def _certificate_of(host: str, address: Place) -> bytes | None:
    """The certificate (DER) of a server that we don't trust, to tell people about it."""
    try:
        tls = await probe_tls(address, pinned_context(), host)
    except ServerUnreachable:
        return None
    return tls.getpeercert(binary_form=True)
