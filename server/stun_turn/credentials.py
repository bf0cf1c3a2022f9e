"""Time-limited TURN credentials, as coturn's use-auth-secret has them. Pure.

The username is `EXPIRY:USERID` or `EXPIRY` alone, EXPIRY in decimal Unix seconds; the password is the base64 of
HMAC-SHA1(secret, username). Whoever knows the secret checks them without a store.
"""

import base64
import hmac
import struct
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Credentials:
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class User:
    """What a username says. `user_id` is empty for a bare expiry, as stock NetBird hands out."""

    expiry: int
    user_id: str

    @property
    def quota_key(self) -> str:
        """Who is counted: bare users share an empty id, so their expiry tells them apart as well as it can."""
        return self.user_id or str(self.expiry)


def password_for(secret: str, username: str) -> str:
    return base64.b64encode(hmac.digest(secret.encode(), username.encode(), "sha1")).decode()


def make_credentials(secret: str, user_id: str, lifetime: int, now: float) -> Credentials:
    """Credentials for `lifetime` seconds from `now` (Unix time). An empty user id gives a bare expiry."""
    expiry = int(now) + lifetime
    username = f"{expiry}:{user_id}" if user_id else str(expiry)
    return Credentials(username, password_for(secret, username))


def parse_username(username: str) -> User:
    """Raises ValueError if it does not begin with an expiry."""
    expiry, _, user_id = username.partition(":")
    if not (expiry.isascii() and expiry.isdigit() and len(expiry) <= 12):
        raise ValueError("the username does not begin with its expiry")
    return User(int(expiry), user_id)


class Nonces:
    """Nonces without a store: 8 hexadecimal digits of Unix time, then an HMAC over it and the client.

    The key comes from the secret, so a restarted server and its copies take each other's nonces.
    """

    def __init__(self, secret: str, lifetime: float) -> None:
        self._key = hmac.digest(secret.encode(), b"covey turn nonce", "sha256")
        self._lifetime = lifetime

    def make(self, client: bytes, now: float) -> bytes:
        at = struct.pack("!I", int(now) & 0xFFFFFFFF)
        return at.hex().encode() + hmac.digest(self._key, at + client, "sha256")[:12].hex().encode()

    def holds(self, nonce: bytes, client: bytes, now: float) -> bool:
        try:
            at = int(nonce[:8], 16)
        except ValueError:
            return False
        return -60 <= now - at <= self._lifetime and hmac.compare_digest(self.make(client, at), nonce)
