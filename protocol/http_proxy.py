"""An HTTP proxy as people and environments name it: `http://[USER[:PASSWORD]@]HOST[:PORT]`. Pure."""

import base64
from dataclasses import dataclass, field, replace
from typing import Self
from urllib.parse import quote, unquote, urlsplit

from protocol.join_link import bracketed

DEFAULT_PORT = 80  # that of the scheme, as curl's users know it from `http://`
MAX_TEXT = 512  # characters of the address, and of a password; ours
FORM = "a proxy is named as http://HOST:PORT"


@dataclass(frozen=True, slots=True)
class HttpProxy:
    """`str()` is what people may read: neither user nor password."""

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an address, with or without the scheme. Raises ValueError with a sentence that repeats nothing of it."""
        text = text.strip()
        if len(text) > MAX_TEXT or not text.isprintable() or any(character.isspace() for character in text):
            raise ValueError(FORM)
        try:
            parts = urlsplit(text if "://" in text else f"http://{text}")
            host, port = parts.hostname, DEFAULT_PORT if parts.port is None else parts.port
        except ValueError:
            raise ValueError(FORM) from None
        if parts.scheme != "http":
            raise ValueError(f"{FORM}; proxies of other kinds, such as https and socks, are not spoken to")
        if not host or not port or parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError(FORM)
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if ":" in user or not (user + password).isprintable():  # RFC 7617, section 2
            raise ValueError("the proxy's user name or password holds what they can't hold")
        return cls(host, port, user, password)

    @property
    def url(self) -> str:
        """The address without the password."""
        user = f"{quote(self.user, safe='')}@" if self.user else ""
        return f"http://{user}{bracketed(self.host)}:{self.port}"

    @property
    def authorization(self) -> str:
        """What Proxy-Authorization says (RFC 7617); empty without a user."""
        if not self.user:
            return ""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()

    def with_password(self, password: str) -> "HttpProxy":
        return replace(self, password=password)

    def __str__(self) -> str:
        return f"{bracketed(self.host)}:{self.port}"
