"""The gRPC server: management and signal on one unix socket behind the front door."""

import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc
from google.protobuf.message import DecodeError

from server.certificates import ServerTls

log = logging.getLogger(__name__)

GRACE = 0.5  # seconds that calls under way have when the server stops
OPTIONS: list[tuple[str, int]] = [
    # Clients ping every 30 s and some more often; a ping is never a reason to hang up.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.max_ping_strikes", 0),
    # Ours find the clients that went away without a word.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.max_connection_idle_ms", 60_000),  # without a call; helpers have a stream open on each
    ("grpc.max_receive_message_length", 320 << 10),  # a sealed request has 256 KiB at most
    ("grpc.max_send_message_length", 16 << 20),
    ("grpc.max_concurrent_streams", 32),  # a connection; a helper needs three
    ("grpc.max_metadata_size", 16 << 10),
    ("grpc.so_reuseport", 0),
]


@contextlib.asynccontextmanager
async def serving_grpc(path: Path, tls: ServerTls | None, *servicers: Callable[[grpc.aio.Server], None]) -> AsyncIterator[None]:
    """Serve on a unix socket, over TLS unless `tls` is None. Each of `servicers` adds itself to the server."""
    logging.getLogger("grpc._cython.cygrpc").addFilter(is_worth_a_line)
    server = grpc.aio.server(options=OPTIONS)
    for add_to in servicers:
        add_to(server)
    if tls is None:
        server.add_insecure_port(f"unix:{path}")
    else:
        server.add_secure_port(f"unix:{path}", credentials_of(tls))
    await server.start()
    try:
        yield
    finally:
        await server.stop(GRACE)


def is_worth_a_line(record: logging.LogRecord) -> bool:
    """A filter for what gRPC logs: what any stranger can bring about is nothing to fill a log with tracebacks."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, DecodeError):
        log.debug("a call was no message: %s", error)
    elif type(error).__name__ == "ExecuteBatchError":
        log.debug("a client left while its call was being ended")
    else:
        return True
    return False


def credentials_of(tls: ServerTls) -> grpc.ServerCredentials:
    """Credentials that follow the certificate when it is renewed."""
    in_use = tls.certificate

    def configuration() -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([(in_use.key_pem, in_use.chain_pem)])

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal in_use
        if tls.certificate is in_use:
            return None
        in_use = tls.certificate
        return configuration()

    return grpc.dynamic_ssl_server_credentials(configuration(), renewed)  # type: ignore[arg-type]  # None is allowed: no change
