"""STUN and TURN servers as they are handed out: URIs of RFC 7064 and RFC 7065, user name and password. Pure."""

from dataclasses import dataclass, field
from typing import Literal

Transport = Literal["udp", "tcp", "tls"]

PREFERENCE: tuple[Transport, ...] = ("udp", "tcp", "tls")
DEFAULT_PORT, DEFAULT_TLS_PORT = 3478, 5349


@dataclass(frozen=True, slots=True)
class TurnServer:
    """One way to one relay; `host` is a name or an IP literal without brackets."""

    host: str
    port: int
    transport: Transport
    username: str
    password: str = field(repr=False)

    @property
    def location(self) -> tuple[str, int, Transport]:
        """What stays the same when only the credentials are new."""
        return self.host, self.port, self.transport

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port} over {self.transport.upper()}"


def parse_turn_uri(uri: str) -> tuple[str, int, Transport]:
    """Read `turn:HOST[:PORT][?transport=udp|tcp]` or `turns:HOST[:PORT][?transport=tcp]`.

    Without a port it is 3478, for `turns` 5349. Raises ValueError, also for TURN over DTLS, which we do not speak.
    Source: RFC 7065, section 3.1.
    """
    scheme, _, rest = uri.strip().partition(":")
    where, question, query = rest.partition("?")
    secure = scheme.lower() == "turns"
    if not secure and scheme.lower() != "turn":
        raise ValueError("a TURN URI begins with turn: or turns:")
    wanted = query.lower().removeprefix("transport=") if question else ("tcp" if secure else "udp")
    if wanted not in ("udp", "tcp") or (question and "=" not in query):
        raise ValueError("the transport of a TURN URI is udp or tcp")
    if secure and wanted == "udp":
        raise ValueError("TURN over DTLS is not supported")
    host, port = _host_and_port(where, DEFAULT_TLS_PORT if secure else DEFAULT_PORT)
    return host, port, "tls" if secure else "tcp" if wanted == "tcp" else "udp"


def parse_stun_uri(uri: str) -> tuple[str, int]:
    """Read `stun:HOST[:PORT]`, port 3478 by default. Raises ValueError, also for `stuns`. Source: RFC 7064, section 3.1."""
    scheme, _, rest = uri.strip().partition(":")
    if scheme.lower() != "stun":
        raise ValueError("a STUN URI begins with stun:")
    return _host_and_port(rest, DEFAULT_PORT)


def _host_and_port(text: str, default: int) -> tuple[str, int]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError("the brackets around an IPv6 address do not close")
        colon, port = rest[:1], rest[1:]
    else:
        host, colon, port = text.partition(":")
        if ":" in port:
            raise ValueError("an IPv6 address in a URI stands in brackets")
    if not host or any(c in "/@?#[]" or c.isspace() for c in host):
        raise ValueError("the URI names no host")
    if not colon:
        return host, default
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError("a port is 1 to 65535")
    return host, int(port)
