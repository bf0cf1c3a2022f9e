"""Who sits at the browser, and whether a form came from a page of ours.

A cookie that only we can read holds a secret; every form holds a hash of that secret, so that no other site can make one up.
Signed in, the secret is the session's token. Where it came from is not compared: the app may stand between browser and
server under another address.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from fastapi import Request, Response
from sqlalchemy import Connection

from server.store import Store, User, grants
from server.store.grants import BrowserSession
from server.store.people import find_user

SESSION_COOKIE, FORM_COOKIE = "covey_session", "covey_form"
SESSION_LIFETIME = 12 * 3600  # seconds
MAX_COOKIE = 100  # characters; ours have 43
MAX_FORM, MAX_FIELDS = 16 * 1024, 32  # bytes, fields
FORM_TYPE = "application/x-www-form-urlencoded"


class FormRefused(ValueError):
    """The body is no form of ours; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Whoever sits at the browser.

    Attributes:
        secret: what its cookie holds, or will hold.
        is_new: the cookie has to be set yet.
    """

    secret: str
    is_new: bool
    session: BrowserSession | None = None
    user: User | None = None

    def __repr__(self) -> str:
        return f"Visitor({self.user!r})"

    @property
    def auth_time(self) -> float | None:
        return None if self.session is None else self.session.auth_time

    @property
    def form_token(self) -> str:
        return hmac.new(self.secret.encode(), b"covey form", hashlib.sha256).hexdigest()

    async def form(self, request: Request) -> dict[str, str] | None:
        """What was posted; None if it came from no page that this browser got from us, or is damaged."""
        try:
            form = dict(await read_fields(request))
        except FormRefused:
            return None
        is_ours = not self.is_new and hmac.compare_digest(form.get("form_token", "").encode(), self.form_token.encode())
        return form if is_ours else None


async def visitor_of(request: Request, store: Store, now: float) -> Visitor:
    """Read the cookies. `now` is unix time. The session of somebody who is blocked by now is none."""
    if token := _cookie(request, SESSION_COOKIE):

        def find(connection: Connection) -> Visitor | None:
            session = grants.find_session(connection, token)
            user = find_user(connection, session.user_id) if session is not None and now < session.expires_at else None
            return None if user is None or user.is_blocked else Visitor(token, False, session, user)

        if (visitor := await store.read(find)) is not None:
            return visitor
    if secret := _cookie(request, FORM_COOKIE):
        return Visitor(secret, False)
    return Visitor(grants.new_secret(), True)


async def begin_session(response: Response, request: Request, store: Store, user: User, now: float) -> None:
    """Begin a session; its token is always a new one."""
    token = grants.new_secret()
    session = BrowserSession(grants.hash_of(token), user.id, now, now + SESSION_LIFETIME)
    former = _cookie(request, SESSION_COOKIE)

    def begin(connection: Connection) -> None:
        if former:
            grants.end_session(connection, former)
        grants.add_session(connection, session, now)

    await store.write(begin)
    await store.people.note_login(user.id)
    _set_cookie(response, request, SESSION_COOKIE, token, SESSION_LIFETIME)


async def end_session(response: Response, request: Request, store: Store) -> None:
    if token := _cookie(request, SESSION_COOKIE):
        await store.write(lambda connection: grants.end_session(connection, token))
    _set_cookie(response, request, SESSION_COOKIE, "", 0)


def keep(response: Response, request: Request, visitor: Visitor) -> None:
    """Set the cookie that this visitor's forms are bound to, if it is not there yet."""
    if visitor.is_new:
        _set_cookie(response, request, FORM_COOKIE, visitor.secret, None)


async def read_fields(request: Request) -> list[tuple[str, str]]:
    """The fields of a posted form, in order. Raises FormRefused."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM_TYPE:
        raise FormRefused(f"the content type must be {FORM_TYPE}")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_FORM:
            raise FormRefused("the form is too large")
    try:
        return parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError:
        raise FormRefused("the form is damaged") from None


def source_of(request: Request) -> str:
    """The address that limits are counted by."""
    return request.client.host if request.client is not None else "unknown"


def query_fields(request: Request) -> Sequence[tuple[str, str]]:
    return request.query_params.multi_items()


def _cookie(request: Request, name: str) -> str:
    value = request.cookies.get(name, "")
    return value if len(value) <= MAX_COOKIE else ""


def _set_cookie(response: Response, request: Request, name: str, value: str, lifetime: int | None) -> None:
    response.set_cookie(
        name, value, max_age=lifetime, path="/", httponly=True, samesite="lax", secure=request.url.scheme == "https"
    )
