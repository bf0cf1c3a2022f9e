"""Join links: where the server is, how to know it, and perhaps a setup key, in one line that is safe to paste.

    covey://203.0.113.10:443/join/alt.2001:db8::10/pin.BASE64URL/key.UUID

Segments after `join` come in any order: `alt` another address of the same server, `pin` the SHA-256 of its certificate
(base64url without padding), `key` a setup key, `plain` a server without TLS. No character needs quoting in a shell.
"""

import base64
import binascii
import ipaddress
import uuid
from dataclasses import dataclass, replace
from typing import Self
from urllib.parse import urlsplit

DEFAULT_PORT = 443
MAX_HOST = 253  # characters of a name in the DNS


@dataclass(frozen=True, slots=True)
class ServerLocation:
    """How to reach a server and how to know it.

    Attributes:
        hosts: IP literals or names of the same server, the preferred one first; at least one.
        fingerprint: SHA-256 of its certificate (DER), 32 bytes; None: the system's certificate authorities decide.
        tls: False only for a server started with --plaintext.
    """

    hosts: tuple[str, ...]
    port: int = DEFAULT_PORT
    fingerprint: bytes | None = None
    tls: bool = True

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Read `https://HOST[:PORT]` or `http://HOST[:PORT]`. Raises ValueError with a sentence."""
        try:
            parts = urlsplit(url.strip())
            host, port = parts.hostname, parts.port
        except ValueError:
            raise ValueError("the server's address is not a URL such as https://vpn.example.org") from None
        if parts.scheme not in ("http", "https") or not host:
            raise ValueError("the server's address begins with https:// (or http:// for one without TLS) and names a host")
        tls = parts.scheme == "https"
        return cls((_host(host),), port or (443 if tls else 80), tls=tls)

    @property
    def url(self) -> str:
        """The address as `https://HOST:PORT`."""
        return f"{'https' if self.tls else 'http'}://{bracketed(self.hosts[0])}:{self.port}"


@dataclass(frozen=True, slots=True)
class JoinLink:
    server: ServerLocation
    setup_key: str | None = None

    def __str__(self) -> str:
        server = self.server
        segments = ["join", *(f"alt.{host}" for host in server.hosts[1:])]
        if server.fingerprint is not None:
            segments.append("pin." + base64.urlsafe_b64encode(server.fingerprint).decode().rstrip("="))
        if self.setup_key:
            segments.append(f"key.{self.setup_key}")
        if not server.tls:
            segments.append("plain")
        return f"covey://{bracketed(server.hosts[0])}:{server.port}/" + "/".join(segments)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a link. Raises ValueError with a sentence that says what is wrong with it."""
        try:
            parts = urlsplit(text.strip())
            host, port = parts.hostname, parts.port or DEFAULT_PORT
        except ValueError:
            raise ValueError("the join link is damaged; copy it again, whole") from None
        first, *segments = parts.path.strip("/").split("/")
        if parts.scheme != "covey" or not host or first != "join":
            raise ValueError("a join link begins with covey://HOST:PORT/join")
        server, setup_key = ServerLocation((_host(host),), port), None
        for segment in segments:
            name, _, value = segment.partition(".")
            if name == "alt":
                server = replace(server, hosts=(*server.hosts, _host(value)))
            elif name == "pin":
                server = replace(server, fingerprint=_pin(value))
            elif name == "key":
                setup_key = _key(value)
            elif name == "plain":
                server = replace(server, tls=False)
        return cls(server, setup_key)


def bracketed(host: str) -> str:
    """A host as it stands before a port: IPv6 literals in brackets."""
    return f"[{host}]" if ":" in host else host


def _host(value: str) -> str:
    try:
        if ":" in value:
            ipaddress.IPv6Address(value)
        if not value or len(value) > MAX_HOST or not all(c.isalnum() or c in (".-_:%" if ":" in value else ".-_") for c in value):
            raise ValueError
    except ValueError:
        raise ValueError(f"{value[:60]!r} is neither an IP address nor the name of a host") from None
    return value


def _pin(value: str) -> bytes:
    try:
        pin = base64.b64decode(value + "=" * (-len(value) % 4), b"-_", validate=True)
    except (binascii.Error, ValueError):
        pin = b""
    if len(pin) != 32:
        raise ValueError("the certificate fingerprint in the join link is damaged; copy the link again, whole")
    return pin


def _key(value: str) -> str:
    try:
        return str(uuid.UUID(value))
    except ValueError:
        raise ValueError("the setup key in the join link is damaged; copy the link again, whole") from None
