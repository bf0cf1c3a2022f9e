"""The keys that sign ID tokens: a new one every 30 days; its predecessor stays published until all that it signed has ended."""

import asyncio
from collections.abc import Sequence
from typing import Any

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from sqlalchemy import Connection

from server.store import Store, grants
from server.store.grants import SigningKey

ALGORITHM = "RS256"  # the one that every client has to know (OpenID Connect Core 1.0, section 15.1)
KEY_SIZE = 2048  # bits
ROTATION = 30 * 86400.0  # seconds that a key signs
RETIREMENT = 86400.0  # seconds that it is published afterwards; ID tokens are good for ten minutes


def is_due(keys: Sequence[SigningKey], now: float) -> bool:
    """Whether there must be a new key; `keys` begins with the newest."""
    return not keys or now >= keys[0].created_at + ROTATION


def published(keys: Sequence[SigningKey], now: float) -> list[SigningKey]:
    """The key that signs, and those whose successor is younger than RETIREMENT."""
    successors = zip(keys[1:], keys, strict=False)
    return [*keys[:1], *(key for key, successor in successors if now < successor.created_at + RETIREMENT)]


def generate(now: float) -> SigningKey:
    """Takes some tenths of a second."""
    key = RSAKey.generate_key(KEY_SIZE)
    return SigningKey(key.thumbprint(), key.as_pem(private=True).decode("ascii"), now)


def key_set(keys: Sequence[SigningKey]) -> KeySet:
    """The public halves, to verify with."""
    return KeySet([RSAKey.import_key(_public(key)) for key in keys])


def jwks(keys: Sequence[SigningKey]) -> dict[str, Any]:
    """The public halves as a JWK Set (RFC 7517, section 5)."""
    return {"keys": [_public(key) for key in keys]}


def sign(key: SigningKey, claims: dict[str, Any]) -> str:
    """A signed JWT in compact form."""
    header = {"alg": ALGORITHM, "kid": key.id, "typ": "JWT"}
    return jwt.encode(header, claims, RSAKey.import_key(key.private_key), [ALGORITHM])


async def current_keys(store: Store, now: float) -> list[SigningKey]:
    """The published keys, the one that signs first; makes a new one when it is due. `now` is unix time."""
    keys = await store.read(grants.signing_keys)
    if is_due(keys, now):
        new = await asyncio.to_thread(generate, now)
        keys = await store.write(lambda connection: _rotate(connection, new, now))
    return published(keys, now)


def _rotate(connection: Connection, new: SigningKey, now: float) -> list[SigningKey]:
    """Another process may have done it meanwhile."""
    keys = grants.signing_keys(connection)
    if is_due(keys, now):
        grants.add_signing_key(connection, new)
        keys = [new, *keys]
    kept = published(keys, now)
    for key in keys:
        if key not in kept:
            grants.delete_signing_key(connection, key.id)
    return kept


def _public(key: SigningKey) -> dict[str, Any]:
    return RSAKey.import_key(key.private_key).as_dict(private=False, kid=key.id, use="sig", alg=ALGORITHM)
