"""What an app asks for at the authorization endpoint, and what has to happen first. Pure.

RFC 6749, section 4.1; OpenID Connect Core 1.0, section 3.1.2; RFC 7636 (PKCE) and RFC 9207 (`iss` in the answer).
"""

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from server.identity.issuer import CLIENT_ID, SCOPES

# RFC 8252, section 7.3: an app on the person's own machine, whichever port it got
REDIRECT_URI = re.compile(r"http://(?:127\.0\.0\.1|\[::1\])(?::([1-9][0-9]{0,4}))?/callback")
CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # SHA-256 in base64url; RFC 7636, section 4.2
VISIBLE = re.compile(r"[\x20-\x7e]*")  # RFC 6749, appendix A
MAX_STATE, MAX_NONCE, MAX_HINT = 2048, 255, 254  # characters
MAX_AGE = re.compile(r"[0-9]{1,9}")


class PageError(ValueError):
    """The request cannot be answered to the app, for nobody knows whether it is one; the person reads why."""


class AppError(Exception):
    """The request is answered to the app with an error (RFC 6749, section 4.1.2.1).

    Attributes:
        code: such as `invalid_request`.
    """

    def __init__(self, code: str, sentence: str, redirect_uri: str, state: str) -> None:
        super().__init__(sentence)
        self.code, self.redirect_uri, self.state = code, redirect_uri, state


class Step(enum.Enum):
    SIGN_IN = "the person proves who they are"
    CONSENT = "the person says whether the app may"


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A request that the app may make.

    Attributes:
        scope: space separated, only such as we know, `openid` among them.
        code_challenge: PKCE with S256.
        max_age: seconds since the person proved who they are; None: any.
        login_hint: an e-mail address perhaps, to begin with.
    """

    redirect_uri: str
    scope: str
    code_challenge: str
    state: str = ""
    nonce: str = ""
    prompt: frozenset[str] = frozenset()
    max_age: int | None = None
    login_hint: str = ""

    def query(self) -> str:
        """The request once more, for the next page, without what has been seen to: prompt and max_age."""
        parameters = {
            "response_type": "code",
            "client_id": CLIENT_ID,
            "redirect_uri": self.redirect_uri,
            "scope": self.scope,
            "code_challenge": self.code_challenge,
            "code_challenge_method": "S256",
            "state": self.state,
            "nonce": self.nonce,
            "login_hint": self.login_hint,
        }
        return urlencode({name: value for name, value in parameters.items() if value})


def is_redirect_uri(text: str) -> bool:
    """Whether an answer may be sent there: to this machine of the person, to any port."""
    found = REDIRECT_URI.fullmatch(text)
    return found is not None and int(found[1] or 80) <= 65535


def read_request(parameters: Iterable[tuple[str, str]]) -> AuthorizationRequest:
    """Check what came in the query. Raises PageError or AppError."""
    values: dict[str, str] = {}
    repeated = set()
    for name, value in parameters:
        if name in values:
            repeated.add(name)
        values[name] = value
    if repeated & {"client_id", "redirect_uri"}:
        raise PageError("The app that sent you here says twice who it is.")
    if values.get("client_id") != CLIENT_ID:
        raise PageError("This server does not know the app that sent you here.")
    redirect_uri = values.get("redirect_uri", "")
    if not is_redirect_uri(redirect_uri):
        raise PageError("The app that sent you here does not wait for the answer on this computer.")
    state = values.get("state", "")
    if "state" in repeated or len(state) > MAX_STATE or not VISIBLE.fullmatch(state):
        raise AppError("invalid_request", f"state is there once, with up to {MAX_STATE} visible characters", redirect_uri, "")

    def refuse(code: str, sentence: str) -> AppError:
        return AppError(code, sentence, redirect_uri, state)

    if repeated:
        raise refuse("invalid_request", "a parameter is there twice")
    if "request" in values:
        raise refuse("request_not_supported", "request objects are not supported")
    if "request_uri" in values:
        raise refuse("request_uri_not_supported", "request objects are not supported")
    if values.get("response_type") != "code":
        raise refuse("unsupported_response_type", "response_type must be code")
    if values.get("response_mode", "query") != "query":
        raise refuse("invalid_request", "response_mode must be query")
    if values.get("code_challenge_method") != "S256" or not CHALLENGE.fullmatch(values.get("code_challenge", "")):
        raise refuse("invalid_request", "PKCE is needed: a code_challenge with the method S256")
    scope = granted_scope(values.get("scope", ""))
    if scope is None:
        raise refuse("invalid_scope", "the scope must hold openid")
    nonce, max_age = values.get("nonce", ""), values.get("max_age")
    if len(nonce) > MAX_NONCE or not VISIBLE.fullmatch(nonce):
        raise refuse("invalid_request", f"nonce has up to {MAX_NONCE} visible characters")
    if max_age is not None and not MAX_AGE.fullmatch(max_age):
        raise refuse("invalid_request", "max_age is a number of seconds")
    prompt = frozenset(values.get("prompt", "").split())
    if "none" in prompt and len(prompt) > 1:
        raise refuse("invalid_request", "prompt is none and something else")
    return AuthorizationRequest(
        redirect_uri,
        scope,
        values["code_challenge"],
        state,
        nonce,
        prompt,
        None if max_age is None else int(max_age),
        values.get("login_hint", "")[:MAX_HINT],
    )


def granted_scope(asked: str) -> str | None:
    """Those of the asked scopes that we know, in our order; None without `openid`: there would be no ID token."""
    words = set(asked[:1000].split())
    return " ".join(scope for scope in SCOPES if scope in words) if "openid" in words else None


def next_step(request: AuthorizationRequest, auth_time: float | None, now: float) -> Step:
    """Say what comes next for a browser whose person proved who they are at `auth_time` (unix time), or has not (None).

    Everybody may register under our client's name on the person's machine, so that consent is never assumed (RFC 8252,
    section 8.6). Raises AppError for prompt=none, which allows no page.
    """
    is_fresh = auth_time is not None and (request.max_age is None or now - auth_time < request.max_age)
    if "none" in request.prompt:
        code = "consent_required" if is_fresh else "login_required"
        raise AppError(code, "the person has to see a page", request.redirect_uri, request.state)
    return Step.CONSENT if is_fresh and not request.prompt & {"login", "select_account"} else Step.SIGN_IN


def denial(request: AuthorizationRequest) -> AppError:
    return AppError("access_denied", "the person said no", request.redirect_uri, request.state)


def success_url(request: AuthorizationRequest, code: str, issuer: str) -> str:
    return _answer(request.redirect_uri, {"code": code, "state": request.state, "iss": issuer})


def error_url(error: AppError, issuer: str) -> str:
    answer = {"error": error.code, "error_description": str(error), "state": error.state, "iss": issuer}
    return _answer(error.redirect_uri, answer)


def waits_at(redirect_uri: str) -> str:
    """Where the app listens, for people: `127.0.0.1:53121`."""
    return urlsplit(redirect_uri).netloc


def _answer(redirect_uri: str, parameters: dict[str, str]) -> str:
    return f"{redirect_uri}?{urlencode({name: value for name, value in parameters.items() if value})}"
