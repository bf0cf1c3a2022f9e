"""Signing in on a machine without a browser: it shows a code, the person types it into a page on another (RFC 8628)."""

import secrets
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Connection, func, select

from server.identity.authorization import granted_scope
from server.identity.issuer import CLIENT_ID, DEVICE_PAGE, PREFIX
from server.identity.token_endpoint import TokenAnswer
from server.store import grants, tables
from server.store.grants import DeviceCode

LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # no vowels, so no words; RFC 8628, section 6.1
LENGTH = 8  # 20 ** 8: 34 bits, and few may be tried
LIFETIME = 600  # seconds
INTERVAL = 5  # seconds between two polls
MAX_WAITING = 10_000  # codes


def canonical_user_code(typed: str) -> str:
    """The code as it is hashed, whatever was typed between its letters: `bcdf-ghjk` is BCDFGHJK."""
    return "".join(letter for letter in typed[:64].upper() if letter.isascii() and letter.isalnum())


def shown_user_code(code: str) -> str:
    return f"{code[:4]}-{code[4:]}" if len(code) == LENGTH else code


def start(connection: Connection, form: dict[str, str], issuer: str, now: float) -> TokenAnswer:
    """Answer a device authorization request. A part of a write transaction; `now` is unix time."""
    if form.get("client_id") != CLIENT_ID or form.get("client_secret"):
        return _refused("invalid_client", "this server does not know this client")
    scope = granted_scope(form.get("scope", ""))
    if scope is None:
        return _refused("invalid_scope", "the scope must hold openid")
    waiting = select(func.count()).select_from(tables.device_codes).where(tables.device_codes.c.expires_at > now)
    if connection.execute(waiting).scalar_one() >= MAX_WAITING:
        return TokenAnswer(503, {"error": "temporarily_unavailable", "error_description": "too many sign-ins are under way"})
    code, user_code = grants.new_secret(), _new_user_code(connection)
    row = DeviceCode(grants.hash_of(code), grants.hash_of(user_code), CLIENT_ID, scope, INTERVAL, now + LIFETIME)
    grants.add_device_code(connection, row, now)
    page = issuer.removesuffix(PREFIX) + DEVICE_PAGE
    shown = shown_user_code(user_code)
    body: dict[str, Any] = {
        "device_code": code,
        "user_code": shown,
        "verification_uri": page,
        "verification_uri_complete": f"{page}?{urlencode({'user_code': shown})}",
        "expires_in": LIFETIME,
        "interval": INTERVAL,
    }
    return TokenAnswer(200, body)


def find_waiting(connection: Connection, user_code: str, now: float) -> DeviceCode | None:
    """The sign-in that waits for somebody to say yes or no to it."""
    code = grants.find_user_code(connection, user_code)
    is_waiting = code is not None and now < code.expires_at and code.user_id is None and not code.denied
    return code if is_waiting else None


def decide(connection: Connection, user_code: str, user_id: str, auth_time: float, now: float, *, allowed: bool) -> bool:
    """Note what the person said; False: nothing waits for it any more."""
    code = find_waiting(connection, user_code, now)
    if code is None:
        return False
    if allowed:
        grants.change_device_code(connection, replace(code, user_id=user_id, auth_time=auth_time))
    else:
        grants.change_device_code(connection, replace(code, denied=True))
    return True


def _new_user_code(connection: Connection) -> str:
    while True:
        code = "".join(secrets.choice(LETTERS) for _ in range(LENGTH))
        if grants.find_user_code(connection, code) is None:
            return code


def _refused(error: str, sentence: str) -> TokenAnswer:
    return TokenAnswer(400, {"error": error, "error_description": sentence})
