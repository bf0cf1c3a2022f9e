"""A provider's keys, and tokens that it signs."""

import warnings
from collections.abc import Mapping
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey, RSAKey

ISSUER, AUDIENCE = "https://id.example.org/realms/main", "covey"
NOW = 1_800_000_000.0

EC = ECKey.generate_key("P-256", {"kid": "ec"})
OTHER_EC = ECKey.generate_key("P-256", {"kid": "other"})
RSA = RSAKey.generate_key(2048, {"kid": "rsa"})
ED = OKPKey.generate_key("Ed25519", {"kid": "ed"})
SYMMETRIC = OctKey.generate_key(256, {"kid": "oct"})


def public(*keys: ECKey | RSAKey | OKPKey) -> dict[str, Any]:
    """A JWK Set."""
    return {"keys": [key.as_dict(private=False) for key in keys]}


def key_set(*keys: ECKey | RSAKey | OKPKey) -> KeySet:
    return KeySet.import_key_set(public(*keys))  # type: ignore[arg-type]


def claims(now: float = NOW, **changes: Any) -> dict[str, Any]:
    """What an ID token holds; a change to None leaves a claim out."""
    given = {
        "iss": ISSUER,
        "sub": "248289761001",
        "aud": AUDIENCE,
        "iat": int(now),
        "exp": int(now) + 600,
        "email": "alice@example.org",
        "name": "Alice",
    }
    return {name: value for name, value in (given | changes).items() if value is not None}


def token(
    content: Mapping[str, Any] | None = None,
    *,
    key: ECKey | RSAKey | OKPKey | OctKey = EC,
    alg: str = "ES256",
    **header: Any,
) -> str:
    """A signed token; a header of None is left out."""
    head = {name: value for name, value in ({"alg": alg, "kid": key.kid, "typ": "JWT"} | header).items() if value is not None}
    registry = jws.JWSRegistry(algorithms=[alg], strict_check_header=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)  # of the name EdDSA
        return jwt.encode(head, dict(claims() if content is None else content), key, registry=registry)
