"""WireGuard keys: Curve25519, written as base64."""

import base64
import binascii
from dataclasses import dataclass
from typing import Self

import nacl.public

KEY_LENGTH = 32


def _decode(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a WireGuard key is 32 bytes in base64") from None
    if len(raw) != KEY_LENGTH:
        raise ValueError(f"a WireGuard key is 32 bytes in base64, not {len(raw)} bytes")
    return raw


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key. Its base64 text names the peer on the wire and orders the roles (netbird-wire: roles)."""

    raw: bytes

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read 44 characters of base64. Raises ValueError for anything else."""
        return cls(_decode(text))

    @property
    def text(self) -> str:
        return base64.b64encode(self.raw).decode()

    @property
    def short(self) -> str:
        """Enough to tell peers apart in a log line."""
        return self.text[:6]

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, repr=False)
class PrivateKey:
    """A private key. Its text form shows nothing of it."""

    raw: bytes

    @classmethod
    def generate(cls) -> Self:
        return cls(bytes(nacl.public.PrivateKey.generate()))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read 44 characters of base64. Raises ValueError for anything else."""
        return cls(_decode(text))

    @property
    def public(self) -> PublicKey:
        return PublicKey(bytes(nacl.public.PrivateKey(self.raw).public_key))

    @property
    def secret_text(self) -> str:
        """The key in base64: for the key file and WireGuard only, never for logs."""
        return base64.b64encode(self.raw).decode()

    def __repr__(self) -> str:
        return "PrivateKey(...)"


def is_controlling(own: PublicKey, remote: PublicKey) -> bool:
    """Say whether we control ICE towards this peer and start its WireGuard handshake.

    The greater base64 text does, compared byte by byte; so exactly one of two peers does.
    """
    return own.text > remote.text
