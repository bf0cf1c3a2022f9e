"""Authorization code with PKCE (RFC 6749, section 4.1; RFC 7636): what goes out and what may come back. Pure.

browser --> authorization URL --> person --> callback with `code` and our `state` --> form for the token endpoint
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlencode

from app.login.answer import refusal
from protocol.errors import SignInRefused
from protocol.sign_in import Provider

MAX_CODE = 4096  # characters
PROMPTS = {"login": {"prompt": "login"}, "max_age": {"max_age": "0"}}  # by `Provider.ask_again`


class ForeignCallback(ValueError):
    """Not the answer to what we asked: another site's doing, or an old tab. Whoever waits goes on waiting."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """The secrets of one sign-in: `verifier` proves that who asked is who takes, `state` and `nonce` tie the answers to it."""

    verifier: str = field(repr=False)
    state: str = field(repr=False)
    nonce: str = field(repr=False)

    @property
    def challenge(self) -> str:
        """S256 (RFC 7636, section 4.2)."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class Code:
    """Attributes:
    issuer: who gave it (RFC 9207), if that was told.
    """

    code: str = field(repr=False)
    issuer: str = ""


def new_attempt() -> Attempt:
    return Attempt(secrets.token_urlsafe(32), secrets.token_urlsafe(24), secrets.token_urlsafe(24))


def authorization_url(provider: Provider, attempt: Attempt, redirect_uri: str) -> str:
    """Where the browser goes."""
    parameters = {
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": redirect_uri,
        "scope": provider.scope,
        "state": attempt.state,
        "nonce": attempt.nonce,
        "code_challenge": attempt.challenge,
        "code_challenge_method": "S256",
        **({"audience": provider.audience} if provider.audience else {}),
        **PROMPTS.get(provider.ask_again, {}),
    }
    endpoint = provider.authorization_endpoint.partition("#")[0]
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(parameters)}"


def read_callback(query: Iterable[tuple[str, str]], attempt: Attempt) -> Code:
    """Read what the browser brought back.

    Raises:
        ForeignCallback: it is not the answer to this attempt.
        CoveyError: it is, and it is a refusal.
    """
    pairs = list(query)
    values = dict(pairs)
    state = values.get("state", "").encode(errors="replace")
    if len(values) != len(pairs) or not hmac.compare_digest(state, attempt.state.encode()):
        raise ForeignCallback
    if "error" in values:
        raise refusal(values["error"], values.get("error_description", ""))
    code = values.get("code", "")
    if not code or len(code) > MAX_CODE:
        raise SignInRefused("The provider sent you back without a code.", "Sign in again.")
    return Code(code, values.get("iss", ""))


def token_form(provider: Provider, attempt: Attempt, code: Code, redirect_uri: str) -> dict[str, str]:
    """What the token endpoint wants to know (RFC 6749, section 4.1.3; RFC 7636, section 4.5)."""
    return {
        "grant_type": "authorization_code",
        "code": code.code,
        "redirect_uri": redirect_uri,
        "code_verifier": attempt.verifier,
        **client_form(provider),
    }


def refresh_form(provider: Provider, refresh_token: str) -> dict[str, str]:
    """RFC 6749, section 6."""
    return {"grant_type": "refresh_token", "refresh_token": refresh_token, **client_form(provider)}


def client_form(provider: Provider) -> dict[str, str]:
    """Who asks; a secret only where the provider insists on one for an app that can't keep it."""
    return {"client_id": provider.client_id, **({"client_secret": provider.client_secret} if provider.client_secret else {})}
