"""Whether a token is good here: a JWT of the provider that we trust, for this server, of now, and here for the first time."""

import hashlib
import json
import math
import time
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Never

from joserfc import jws
from joserfc.errors import BadSignatureError, JoseError, SecurityWarning
from joserfc.util import urlsafe_b64decode

from protocol.errors import ClockOff, SignInRefused
from protocol.sign_in import MAX_TOKEN
from server.identity.keys import Keys
from server.store.people import MAX_SUBJECT

ALGORITHMS = ("RS256", "ES256", "PS256", "EdDSA", "Ed25519")  # the last two are one: RFC 9864 renamed it
LEEWAY = 90.0  # seconds that two clocks may differ
FRESH = 3600.0  # seconds; apps hand a token in at once, so one that is older and ran out hints at a wrong clock

SIGN_IN_AGAIN = "Sign in again: `covey login`."
COMPARE_SETTINGS = (
    "Sign in again. If it persists, whoever runs the server should compare its [sign-in] with the provider's settings."
)
COMPARE_CLOCKS = "Compare `date -u` there and on the Covey server, and set the wrong one right (`timedatectl set-ntp true`)."


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a token speaks of.

    Attributes:
        subject: their lasting name at the provider, 1 to 255 printable characters.
        email, name: as the provider has them, of any length; empty where it does not say.
    """

    subject: str
    email: str
    name: str


class Verifier:
    def __init__(
        self,
        issuer: str,
        audience: str,
        keys: Keys,
        spend: Callable[[str, float], Awaitable[bool]],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`spend(hash, until)` says whether the token comes for the first time, and remembers it. Times are unix seconds."""
        self._issuer, self._audience, self._keys, self._spend, self._clock = issuer, audience, keys, spend, clock

    async def verify(self, token: str) -> Person:
        """Accept the token, this once.

        Raises:
            SignInRefused: a definite no, with the reason.
            ClockOff: its times are far from ours.
            SignInUnavailable: the provider's keys cannot be read now; the token stays good.
        """
        header, claims = _parts(token)
        self._check_place(claims)
        kid = header.get("kid")
        key = await self._keys.find(kid if isinstance(kid, str) else None)
        if key is None:
            raise SignInRefused("this sign-in token is signed with a key that the provider does not have", COMPARE_SETTINGS)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SecurityWarning)  # of the name EdDSA
                jws.deserialize_compact(token, key, registry=_registry())
        except BadSignatureError:
            _refuse("the signature of this sign-in token is wrong: it was changed, or made by somebody else")
        except (JoseError, ValueError, TypeError):  # such as a key of another kind
            _refuse("this sign-in token is not signed as its key wants it")
        expires_at = self._check_times(claims)
        person = _person(claims)
        signed = token.rpartition(".")[0]  # without the signature, of which there may be several that are right
        if not await self._spend(hashlib.sha256(signed.encode()).hexdigest(), expires_at + LEEWAY):
            _refuse("this sign-in token was used already, and each is good once")
        return person

    def _check_place(self, claims: dict[str, Any]) -> None:
        if (issuer := claims.get("iss")) != self._issuer:
            sentence = f"this sign-in token is of another provider, {_shown(issuer)}; this server trusts {self._issuer}"
            raise SignInRefused(sentence, COMPARE_SETTINGS)
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if self._audience not in audiences:
            sentence = f"this sign-in token is of another server or app: it names {_shown(audience)}, not {self._audience}"
            raise SignInRefused(sentence, COMPARE_SETTINGS)

    def _check_times(self, claims: dict[str, Any]) -> float:
        """When it runs out. Its `exp` must be there; `iat` and `nbf` need not."""
        expires_at, made_at, good_from = (_time(claims, name) for name in ("exp", "iat", "nbf"))
        now = self._clock()
        if expires_at is None:
            _refuse("this sign-in token has no end, which is not accepted")
        if (ahead := max(made_at or now, good_from or now) - now) > LEEWAY:
            raise ClockOff(
                f"this sign-in token is from the future: the clock of this server or of the provider is off by {span(ahead)}",
                COMPARE_CLOCKS,
            )
        if now > expires_at + LEEWAY:
            ran_out = f"this sign-in token ran out {span(now - expires_at)} ago"
            if made_at is None or now - made_at < FRESH:
                _refuse(ran_out)
            sentence = f"{ran_out}; if it is fresh, the clock of this server or of the provider is off by {span(now - made_at)}"
            raise ClockOff(sentence, f"Sign in again. {COMPARE_CLOCKS}")
        return expires_at


def span(seconds: float) -> str:
    """A length of time for people, in the largest unit of which there are at least two."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{round(seconds / length)} {unit}"
    return f"{round(seconds)} s"


def _parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims as they stand there; nothing of it is proven yet."""
    if len(token) > MAX_TOKEN or not token.isascii():
        _refuse("this is no sign-in token: it is too long, or holds characters that no token has")
    try:
        encoded_header, encoded_claims, _ = token.split(".")
        header, claims = (json.loads(urlsafe_b64decode(part.encode())) for part in (encoded_header, encoded_claims))
    except (ValueError, RecursionError):
        _refuse("this is no sign-in token: a JWT has three parts in base64url")
    if not isinstance(header, dict) or not isinstance(claims, dict):
        _refuse("this is no sign-in token: its parts are not what a JWT has")
    if header.get("alg") not in ALGORITHMS:
        raise SignInRefused(
            f"this sign-in token is signed by the method {_shown(header.get('alg'))}, which is not accepted",
            f"Whoever runs the provider can choose one of {', '.join(ALGORITHMS[:-1])}.",
        )
    if "crit" in header or "b64" in header:
        _refuse("this sign-in token uses extensions that are not known here")
    return header, claims


def _registry() -> jws.JWSRegistry:
    registry = jws.JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
    registry.max_header_length = MAX_TOKEN  # some carry their certificates
    return registry


def _time(claims: dict[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not -(2**53) < value < 2**53 or math.isnan(value):
        _refuse(f"this is no sign-in token: its {name} is no time")
    return float(value)


def _person(claims: dict[str, Any]) -> Person:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT or not subject.isprintable():
        _refuse("this sign-in token does not say whose it is")
    email = next((claims[name] for name in ("email", "preferred_username", "upn") if _is_text(claims.get(name))), "")
    return Person(subject, email, claims["name"] if _is_text(claims.get("name")) else "")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value.strip() != ""


def _shown(value: object) -> str:
    """What a stranger wrote, short and on one line."""
    text = ", ".join(map(str, value)) if isinstance(value, list) else "none" if value is None else str(value)
    return "".join(c if c.isprintable() else "?" for c in text[:100])


def _refuse(sentence: str) -> Never:
    raise SignInRefused(sentence, SIGN_IN_AGAIN)
