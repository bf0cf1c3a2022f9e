"""Signing in with a browser on another machine (RFC 8628): what is asked again and again, and how fast. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from app.login.answer import Answer
from app.login.pkce import client_form
from app.login.prompt import Prompt
from protocol.errors import CoveyError, SignInUnavailable
from protocol.sign_in import Provider

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
INTERVAL = 5.0  # seconds between two polls unless the provider says otherwise (section 3.2)
SLOWER = 5.0  # seconds more after each slow_down (section 3.5)
MAX_INTERVAL = 60.0
MAX_LIFETIME = 1800.0  # seconds that we wait, whatever the provider says
MAX_FAILURES = 4  # polls in a row that fail on the way before we give up
MAX_TEXT = 2048  # characters


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """What the provider said (section 3.2); `interval` and `expires_in` in seconds."""

    device_code: str = field(repr=False)
    user_code: str
    url: str
    complete_url: str
    interval: float
    expires_in: float

    def prompt(self, note: str) -> Prompt:
        return Prompt("device", self.url, self.user_code, self.expires_in, self.complete_url, note)


def start_form(provider: Provider) -> dict[str, str]:
    audience = {"audience": provider.audience} if provider.audience else {}
    return {"scope": provider.scope, **audience, **client_form(provider)}


def poll_form(provider: Provider, code: DeviceCode) -> dict[str, str]:
    return {"grant_type": GRANT, "device_code": code.device_code, **client_form(provider)}


def read_start(answer: Answer) -> DeviceCode:
    """Read the answer to the first request. Raises CoveyError."""
    if not answer.is_success:
        raise answer.failure()
    body = answer.body
    device_code, user_code = _text(body, "device_code"), _text(body, "user_code")
    url = _url(body.get("verification_uri")) or _url(body.get("verification_url"))  # the latter was Google's word
    if not (device_code and user_code and url):
        raise SignInUnavailable("The sign-in provider's answer lacks a code or a page to type it into.")
    complete_url = _url(body.get("verification_uri_complete")) or url
    interval = min(_seconds(body.get("interval")) or INTERVAL, MAX_INTERVAL)
    lifetime = min(_seconds(body.get("expires_in")) or MAX_LIFETIME, MAX_LIFETIME)
    return DeviceCode(device_code, user_code, url, complete_url, interval, lifetime)


@dataclass(frozen=True, slots=True)
class Polling:
    """How the polls go on.

    Attributes:
        interval: seconds until the next.
        failures: polls in a row that got no answer of a provider.
    """

    interval: float
    failures: int = 0

    def after(self, answer: Answer) -> "Polling | None":
        """The next step after this answer; None: it holds the tokens. Raises CoveyError when it is over."""
        if answer.is_success:
            return None
        match answer.error:
            case "authorization_pending":
                return replace(self, failures=0)
            case "slow_down":
                return Polling(min(self.interval + SLOWER, MAX_INTERVAL))
            case "" | "server_error" | "temporarily_unavailable":
                return self.after_failure(answer.failure())
            case _:
                raise answer.failure()

    def after_failure(self, error: CoveyError) -> "Polling":
        """Nothing came back, or nothing that makes sense: perhaps the next one will."""
        if self.failures >= MAX_FAILURES:
            raise error
        return replace(self, failures=self.failures + 1)


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) and len(value) <= MAX_TEXT and value.isprintable() else ""


def _url(value: Any) -> str:
    """A web address that may be shown and opened; empty for anything else."""
    if not isinstance(value, str) or len(value) > MAX_TEXT or not value.isprintable() or " " in value:
        return ""
    try:
        parts = urlsplit(value)
        return value if parts.scheme in ("http", "https") and parts.hostname else ""
    except ValueError:
        return ""


def _seconds(value: Any) -> float:
    """A number of seconds; 0 for what is none. Some providers send it as a text."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        value = int(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 < value < 1e9 else 0.0
