"""What answers at an address, found out before a single byte of ours is trusted to it.

A TLS probe completes a handshake (the certificate is then known), a plain one exchanges the HTTP/2 preface. When the
answer is of the wrong kind, the other probe tells whether the scheme is wrong.
"""

import asyncio
import errno
import socket
import ssl

from helper.http_proxy.dial import Place, dial
from protocol.errors import ServerUnreachable

# The connection preface and an empty SETTINGS frame (RFC 9113, sections 3.4 and 6.5); a server answers with its own SETTINGS.
HTTP2_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")
SETTINGS_FRAME = 0x04
FRAME_HEADER = 9  # bytes: length (3), type, flags, stream id (4)
NO_ROUTE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.ENETDOWN)
MAX_HANDSHAKE = 256 * 1024  # bytes that a handshake may take; ours


class NoRoute(ServerUnreachable):
    """Nothing was sent: this machine has no way there, mostly for want of IPv6."""


class NotTls(ServerUnreachable):
    """The other side answered a ClientHello with something else, or hung up on it."""


class NotHttp2(ServerUnreachable):
    """The other side answered HTTP/2's preface with something else, or hung up on it."""


async def connect_tcp(place: Place) -> socket.socket:
    """A connected, non-blocking socket. Raises ServerUnreachable with the reason."""
    try:
        return await dial(place)
    except OSError as error:
        kind = NoRoute if error.errno in NO_ROUTE else ServerUnreachable
        raise kind(f"{place} {reason_of(error)}") from None


def reason_of(error: OSError) -> str:
    """Why a connection failed, as the end of a sentence that begins with the address."""
    match error.errno:
        case errno.ECONNREFUSED:
            return "refused the connection: nothing listens on that port"
        case number if number in NO_ROUTE:
            return "cannot be reached: there is no route to it"
        case errno.ETIMEDOUT:
            return "does not answer: timed out"
        case errno.ECONNRESET | errno.EPIPE | errno.ECONNABORTED:
            return "closed the connection"
        case errno.EPERM | errno.EACCES:
            return "cannot be reached: this machine's firewall forbids it"
        case _:
            return f"cannot be reached: {error.strerror or type(error).__name__}"


async def probe_tls(address: Place, context: ssl.SSLContext, server_name: str) -> ssl.SSLObject:
    """Complete a handshake and hang up; no application data is sent.

    Args:
        context: says what is verified, and which ALPN protocols are offered.
        server_name: for SNI, and for verification where the context asks for it.
    Raises:
        ssl.SSLCertVerificationError: from the context's verification.
        NotTls: the other side does not speak TLS.
        ServerUnreachable: no connection.
    """
    sock = await connect_tcp(address)
    try:
        return await _handshake(sock, context, server_name)
    except ssl.SSLCertVerificationError:
        raise
    except ssl.SSLError as error:
        raise NotTls(f"{address} answers, but not as TLS asks ({error.reason or 'the handshake broke off'})") from None
    except OSError as error:
        raise NotTls(f"{address} {reason_of(error)} during the TLS handshake") from None
    finally:
        sock.close()


async def _handshake(sock: socket.socket, context: ssl.SSLContext, server_name: str) -> ssl.SSLObject:
    loop = asyncio.get_running_loop()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=server_name)
    received = 0
    while True:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            await loop.sock_sendall(sock, outgoing.read())
        else:
            return tls  # our last flight stays unsent: nobody learns more than that we were here
        data = await loop.sock_recv(sock, 16384)
        received += len(data)
        if not data:
            incoming.write_eof()
        elif received > MAX_HANDSHAKE:
            raise ssl.SSLError(1, "the handshake is too long")
        else:
            incoming.write(data)


async def probe_plain(address: Place) -> None:
    """Exchange HTTP/2's preface and hang up.

    Raises:
        NotHttp2: the other side does not speak HTTP/2 without TLS.
        ServerUnreachable: no connection.
    """
    loop = asyncio.get_running_loop()
    sock = await connect_tcp(address)
    answer = b""
    try:
        await loop.sock_sendall(sock, HTTP2_HELLO)
        while len(answer) < FRAME_HEADER:
            data = await loop.sock_recv(sock, 1024)
            if not data:
                break
            answer += data
    except OSError as error:
        raise NotHttp2(f"{address} {reason_of(error)} when asked for HTTP/2") from None
    finally:
        sock.close()
    if len(answer) < FRAME_HEADER or answer[3] != SETTINGS_FRAME:
        raise NotHttp2(f"{address} answers, but does not speak HTTP/2 without TLS")
