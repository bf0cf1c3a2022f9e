"""What the embedded OpenID provider remembers: parts of transactions. Of codes and tokens only the hash is kept."""

import hashlib
import secrets
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from sqlalchemy import Connection, Table, delete, insert, select, update

from server.store import tables

USED_CODE_KEPT = 3600.0  # seconds after its end that a code or device code is still told apart from one that never was

R = TypeVar("R")


def new_secret() -> str:
    """256 random bits in base64url, 43 characters."""
    return secrets.token_urlsafe(32)


def hash_of(secret: str) -> str:
    """SHA-256 in hexadecimal; enough for random secrets, no salt needed."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class SigningKey:
    id: str
    private_key: str
    created_at: float

    def __repr__(self) -> str:
        return f"SigningKey({self.id})"


@dataclass(frozen=True, slots=True)
class SignIn:
    """One sign-in of an app, which a family of refresh tokens keeps up.

    Attributes:
        auth_time: when the person proved who they are.
        expires_at: when its newest refresh token ends.
    """

    id: str
    user_id: str
    client_id: str
    scope: str
    auth_time: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class RefreshToken:
    token_hash: str
    sign_in_id: str
    created_at: float
    used_at: float | None = None


@dataclass(frozen=True, slots=True)
class AuthorizationCode:
    code_hash: str
    user_id: str
    client_id: str
    redirect_uri: str
    scope: str
    nonce: str
    code_challenge: str
    auth_time: float
    expires_at: float
    used_at: float | None = None
    sign_in_id: str | None = None


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """RFC 8628: `user_id` and `auth_time` are there once somebody said yes, `denied` if they said no."""

    code_hash: str
    user_code_hash: str
    client_id: str
    scope: str
    interval: int
    expires_at: float
    polled_at: float | None = None
    user_id: str | None = None
    auth_time: float | None = None
    denied: bool = False


@dataclass(frozen=True, slots=True)
class BrowserSession:
    token_hash: str
    user_id: str
    auth_time: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class OneTimeLink:
    """A link that lets its holder choose a password, once.

    Attributes:
        purpose: `owner`, `invite` (both add a person) or `reset`.
        user_id: whose password it resets.
        role: what the person it adds becomes.
    """

    token_hash: str
    account_id: str
    purpose: str
    user_id: str | None
    role: str
    created_at: float
    expires_at: float


def _one(connection: Connection, kind: type[R], table: Table, condition: Any) -> R | None:
    row = connection.execute(select(table).where(condition)).mappings().first()
    return None if row is None else kind(**{field.name: row[field.name] for field in fields(kind)})  # type: ignore[arg-type]


def _add(connection: Connection, table: Table, row: Any) -> None:
    connection.execute(insert(table).values(asdict(row)))


# ---- signing keys


def signing_keys(connection: Connection) -> list[SigningKey]:
    """The newest first."""
    newest_first = select(tables.signing_keys).order_by(tables.signing_keys.c.created_at.desc())
    return [SigningKey(**row) for row in connection.execute(newest_first).mappings()]


def add_signing_key(connection: Connection, key: SigningKey) -> None:
    _add(connection, tables.signing_keys, key)


def delete_signing_key(connection: Connection, key_id: str) -> None:
    connection.execute(delete(tables.signing_keys).where(tables.signing_keys.c.id == key_id))


# ---- authorization codes


def add_code(connection: Connection, code: AuthorizationCode, now: float) -> None:
    old = tables.authorization_codes.c.expires_at < now - USED_CODE_KEPT
    connection.execute(delete(tables.authorization_codes).where(old))
    _add(connection, tables.authorization_codes, code)


def find_code(connection: Connection, code: str) -> AuthorizationCode | None:
    one = tables.authorization_codes.c.code_hash == hash_of(code)
    return _one(connection, AuthorizationCode, tables.authorization_codes, one)


def spend_code(connection: Connection, code: AuthorizationCode, sign_in_id: str | None, now: float) -> None:
    one = tables.authorization_codes.c.code_hash == code.code_hash
    connection.execute(update(tables.authorization_codes).where(one).values(used_at=now, sign_in_id=sign_in_id))


# ---- sign-ins of apps and their refresh tokens


def find_sign_in(connection: Connection, sign_in_id: str) -> SignIn | None:
    return _one(connection, SignIn, tables.sign_ins, tables.sign_ins.c.id == sign_in_id)


def add_sign_in(connection: Connection, sign_in: SignIn, now: float) -> None:
    connection.execute(delete(tables.sign_ins).where(tables.sign_ins.c.expires_at < now))
    _add(connection, tables.sign_ins, sign_in)


def end_sign_in(connection: Connection, sign_in_id: str) -> None:
    """Forget it, and with it every refresh token of its family."""
    connection.execute(delete(tables.sign_ins).where(tables.sign_ins.c.id == sign_in_id))


def add_refresh_token(connection: Connection, token: RefreshToken, expires_at: float) -> None:
    """Add a token and let its sign-in last as long."""
    _add(connection, tables.refresh_tokens, token)
    one = tables.sign_ins.c.id == token.sign_in_id
    connection.execute(update(tables.sign_ins).where(one).values(expires_at=expires_at))


def find_refresh_token(connection: Connection, token: str) -> RefreshToken | None:
    one = tables.refresh_tokens.c.token_hash == hash_of(token)
    return _one(connection, RefreshToken, tables.refresh_tokens, one)


def spend_refresh_token(connection: Connection, token: RefreshToken, now: float) -> None:
    one = tables.refresh_tokens.c.token_hash == token.token_hash
    connection.execute(update(tables.refresh_tokens).where(one).values(used_at=now))


# ---- device codes


def add_device_code(connection: Connection, code: DeviceCode, now: float) -> None:
    old = tables.device_codes.c.expires_at < now - USED_CODE_KEPT
    connection.execute(delete(tables.device_codes).where(old))
    _add(connection, tables.device_codes, code)


def find_device_code(connection: Connection, code: str) -> DeviceCode | None:
    return _one(connection, DeviceCode, tables.device_codes, tables.device_codes.c.code_hash == hash_of(code))


def find_user_code(connection: Connection, user_code: str) -> DeviceCode | None:
    return _one(connection, DeviceCode, tables.device_codes, tables.device_codes.c.user_code_hash == hash_of(user_code))


def change_device_code(connection: Connection, code: DeviceCode) -> None:
    """Keep how often it was asked for, and what the person said."""
    one = tables.device_codes.c.code_hash == code.code_hash
    connection.execute(update(tables.device_codes).where(one).values(asdict(code)))


def delete_device_code(connection: Connection, code: DeviceCode) -> None:
    connection.execute(delete(tables.device_codes).where(tables.device_codes.c.code_hash == code.code_hash))


# ---- browser sessions


def add_session(connection: Connection, session: BrowserSession, now: float) -> None:
    connection.execute(delete(tables.browser_sessions).where(tables.browser_sessions.c.expires_at < now))
    _add(connection, tables.browser_sessions, session)


def find_session(connection: Connection, token: str) -> BrowserSession | None:
    one = tables.browser_sessions.c.token_hash == hash_of(token)
    return _one(connection, BrowserSession, tables.browser_sessions, one)


def end_session(connection: Connection, token: str) -> None:
    connection.execute(delete(tables.browser_sessions).where(tables.browser_sessions.c.token_hash == hash_of(token)))


# ---- one-time links


def add_link(connection: Connection, link: OneTimeLink, now: float) -> None:
    connection.execute(delete(tables.one_time_links).where(tables.one_time_links.c.expires_at < now))
    _add(connection, tables.one_time_links, link)


def find_link(connection: Connection, token: str) -> OneTimeLink | None:
    return _one(connection, OneTimeLink, tables.one_time_links, tables.one_time_links.c.token_hash == hash_of(token))


def spend_link(connection: Connection, link: OneTimeLink) -> None:
    """Delete it; with an owner's all others of that purpose, with a reset all others of that person."""
    same = tables.one_time_links.c.token_hash == link.token_hash
    if link.purpose == "owner":
        same = tables.one_time_links.c.purpose == "owner"
    elif link.user_id is not None:
        same = tables.one_time_links.c.user_id == link.user_id
    connection.execute(delete(tables.one_time_links).where(same))
