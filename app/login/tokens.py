"""What a provider gives at the end, and whether it is what was asked for. Pure.

The signature is the server's matter: the app has the token from the provider itself, over TLS (OpenID Connect Core 1.0,
section 3.1.3.7), and only looks whether the server can be meant to take it.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from protocol.errors import SignInRefused
from protocol.sign_in import MAX_TOKEN, Provider

MAX_EMAIL = 254  # characters
WRONG_TOKEN = "Whoever runs the server should look at how its OpenID provider is set up."  # noqa: S105


@dataclass(frozen=True, slots=True)
class Tokens:
    """Attributes:
    jwt: what the server wants to see, once.
    refresh_token: what gives the next one; empty where the provider gives none.
    email: who signed in, to be shown.
    expires_at: unix time until which the jwt is good.
    """

    jwt: str = field(repr=False)
    refresh_token: str = field(repr=False)
    email: str
    expires_at: float


def read_tokens(
    answer: Mapping[str, Any], provider: Provider, *, nonce: str = "", issuer: str = "", former_refresh_token: str = ""
) -> Tokens:
    """Check a successful answer of the token endpoint (RFC 6749, section 5.1).

    Args:
        nonce: what the ID token must hold; empty where none was sent.
        issuer: who brought the person back (RFC 9207); empty where that was not told.
        former_refresh_token: stays good where the answer has no new one (RFC 6749, section 6).
    Raises:
        SignInRefused: that is no token for this server.
    """
    id_token, access_token, refresh_token = (_text(answer, name) for name in ("id_token", "access_token", "refresh_token"))
    jwt = id_token if provider.use_id_token else access_token
    if not jwt:
        kind = "ID token" if provider.use_id_token else "access token"
        raise SignInRefused(f"The provider gave no {kind}, which the server wants.", WRONG_TOKEN)
    claims = claims_of(jwt)
    if claims is None:
        raise SignInRefused("The provider gave a token that the server can't read: it is no JWT.", WRONG_TOKEN)
    if provider.audience and provider.audience not in _audience(claims):
        raise SignInRefused("The provider gave a token that is meant for somebody else (its audience is wrong).", WRONG_TOKEN)
    identity = claims_of(id_token) if id_token else None
    if nonce and (id_token or provider.use_id_token) and (identity or {}).get("nonce") != nonce:
        raise SignInRefused("The provider gave the token of another sign-in (its nonce is wrong).", "Sign in again.")
    if issuer and identity is not None and identity.get("iss") != issuer:
        raise SignInRefused("Another provider than the one that signed you in made the token.", "Sign in again.")
    return Tokens(jwt, refresh_token or former_refresh_token, _email({**claims, **(identity or {})}), _expiry(claims))


def person_in(jwt: str) -> str:
    """Who a token speaks of, as the helper will name them: access tokens may tell less than the ID token beside them."""
    return _email(claims_of(jwt) or {})


def claims_of(token: str) -> dict[str, Any] | None:
    """What a JWT says, unverified (RFC 7519); None for what is none."""
    parts = token.split(".")
    if len(parts) != 3 or not all(parts):
        return None
    try:
        claims = json.loads(base64.b64decode(parts[1] + "=" * (-len(parts[1]) % 4), b"-_", validate=True))
    except (ValueError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None


def _text(answer: Mapping[str, Any], name: str) -> str:
    """A token of the answer; empty if it is not there."""
    value = answer.get(name, "")
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > MAX_TOKEN or not value.isascii() or not value.isprintable() or " " in value:
        raise SignInRefused("The provider gave a token that can't be used.", WRONG_TOKEN)
    return value


def _audience(claims: Mapping[str, Any]) -> list[Any]:
    found = claims.get("aud")
    return found if isinstance(found, list) else [found]


def _email(claims: Mapping[str, Any]) -> str:
    for name in ("email", "preferred_username", "name", "sub"):
        value = claims.get(name)
        if isinstance(value, str) and value.strip():
            return "".join(character for character in value.strip()[:MAX_EMAIL] if character.isprintable())
    return ""


def _expiry(claims: Mapping[str, Any]) -> float:
    found = claims.get("exp")
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) and 0 < found < 1e12 else 0.0
