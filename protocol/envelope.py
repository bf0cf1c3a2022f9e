"""Sealed messages: NaCl crypto_box (X25519, XSalsa20-Poly1305) between two WireGuard keys.

Layout: nonce (24 random bytes), then crypto_box's output (16 bytes of tag, ciphertext); 40 bytes more than the plaintext.
There is no protection against replay: what an old message could do must be harmless.
"""

from typing import TypeVar

import nacl.exceptions
import nacl.public
from google.protobuf.message import DecodeError, Message

from protocol.keys import PrivateKey, PublicKey

M = TypeVar("M", bound=Message)

OVERHEAD = 40


def seal(plaintext: bytes, own: PrivateKey, remote: PublicKey, *, nonce: bytes | None = None) -> bytes:
    """Seal for the remote key. The nonce is random; only tests with golden vectors give one.

    Raises:
        ValueError: the remote key is a point of low order (all zeros, say), which is nobody's key.
    """
    try:
        box = nacl.public.Box(nacl.public.PrivateKey(own.raw), nacl.public.PublicKey(remote.raw))
    except nacl.exceptions.CryptoError:
        raise ValueError("the remote key is no usable WireGuard key") from None
    return bytes(box.encrypt(plaintext, nonce))


def open_sealed(body: bytes, own: PrivateKey, remote: PublicKey) -> bytes:
    """Open what the remote key sealed for us. Raises ValueError if it is not that, or was changed."""
    if len(body) < OVERHEAD:
        raise ValueError("a sealed message is at least 40 bytes")
    try:
        box = nacl.public.Box(nacl.public.PrivateKey(own.raw), nacl.public.PublicKey(remote.raw))  # refuses low-order points
        return bytes(box.decrypt(body))
    except nacl.exceptions.CryptoError:
        raise ValueError("the sealed message does not open with these keys") from None


def seal_message(message: Message, own: PrivateKey, remote: PublicKey) -> bytes:
    """Serialise and seal a protobuf message."""
    return seal(message.SerializeToString(), own, remote)


def open_message(kind: type[M], body: bytes, own: PrivateKey, remote: PublicKey) -> M:
    """Open a sealed protobuf message. Raises ValueError if it does not open or is not of that kind."""
    plaintext = open_sealed(body, own, remote)
    try:
        return kind.FromString(plaintext)
    except DecodeError:
        raise ValueError(f"the sealed message is no {kind.DESCRIPTOR.name}") from None
