"""The token endpoint: Authlib's grants on our store, a whole request in one write transaction.

code + verifier   -> tokens    once; a second time ends what the first one gave
refresh token     -> tokens    and a new refresh token; a used one that comes again ends its whole family
device code       -> authorization_pending, slow_down, access_denied, expired_token, or tokens, once
"""

import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from authlib.oauth2.rfc6749 import AuthorizationServer, ClientMixin, InvalidGrantError, OAuth2Request
from authlib.oauth2.rfc6749 import grants as authlib_grants
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc8628 import DEVICE_CODE_GRANT_TYPE, DeviceCodeGrant
from sqlalchemy import Connection

from server.identity.authorization import VISIBLE
from server.identity.issuer import CLIENT_ID
from server.identity.signing_keys import sign
from server.store import User, grants
from server.store.grants import AuthorizationCode, DeviceCode, RefreshToken, SignIn, SigningKey
from server.store.people import find_user
from server.store.queries import new_id

ID_TOKEN_LIFETIME = 600  # seconds
REFRESH_LIFETIME = 30 * 86400.0  # seconds that a refresh token waits to be used
POLL_TOLERANCE = 1.0  # seconds by which networks may bring two polls closer together
SLOWER = 5  # seconds more between two polls after each that came too early; RFC 8628, section 3.5
MAX_FIELD = 4096  # characters

log = logging.getLogger(__name__)
logging.getLogger("authlib").setLevel(logging.INFO)  # at DEBUG it writes tokens down


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    status: int
    body: dict[str, Any]


class Client(ClientMixin):  # type: ignore[misc]  # Authlib has no types
    """The one client: public, so that it has no secret; PKCE and the loopback address stand for it."""

    def get_client_id(self) -> str:
        return CLIENT_ID

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "none"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in ("authorization_code", "refresh_token", DEVICE_CODE_GRANT_TYPE)


class TokenRequest(OAuth2Request):  # type: ignore[misc]
    def __init__(self, form: Mapping[str, str]) -> None:
        super().__init__("POST", "https://localhost")  # Authlib looks at the scheme only; TLS is the front door's matter
        self.payload = BasicOAuth2Payload(dict(form))

    @property
    def form(self) -> dict[str, str]:
        fields: dict[str, str] = self.payload.data
        return fields


class TokenServer(AuthorizationServer):  # type: ignore[misc]
    """Answers one request. `now` is unix time, in seconds."""

    def __init__(self, connection: Connection, issuer: str, key: SigningKey, now: float) -> None:
        super().__init__()
        self.connection, self.now = connection, now
        self._issuer, self._key = issuer, key
        self.register_grant(CodeGrant, [CodeChallenge(required=True)])
        self.register_grant(RefreshGrant)
        self.register_grant(DeviceGrant)
        self.register_token_generator("default", self._new_token)

    def query_client(self, client_id: str) -> Client | None:
        return Client() if client_id == CLIENT_ID else None

    def create_oauth2_request(self, request: Mapping[str, str]) -> TokenRequest:
        return TokenRequest(request)

    def handle_response(self, status: int, body: dict[str, Any], headers: object) -> TokenAnswer:
        return TokenAnswer(status, body)

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        pass  # nobody listens

    def _new_token(self, *, scope: str, **_: object) -> dict[str, Any]:
        """The access token opens nothing here; clients expect one. `save_token` adds the ID token, which is what counts."""
        return {
            "token_type": "Bearer",
            "access_token": grants.new_secret(),
            "expires_in": ID_TOKEN_LIFETIME,
            "scope": scope,
        }

    def save_token(self, token: dict[str, Any], request: TokenRequest) -> None:
        """Add the ID token, and the refresh token if the app may have one; what was given for them is spent."""
        user: User = request.user
        if request.refresh_token is not None:
            granted = request.refresh_token.sign_in
            token["refresh_token"] = self._refresh_token(granted.id)
            token["id_token"] = self._id_token(user, granted.auth_time, "")
        elif request.credential is not None:
            code: DeviceCode = request.credential.row
            auth_time = self.now if code.auth_time is None else code.auth_time
            self._start_sign_in(token, user, auth_time)
            token["id_token"] = self._id_token(user, auth_time, "")
            grants.delete_device_code(self.connection, code)
        else:
            row: AuthorizationCode = request.authorization_code.row
            sign_in_id = self._start_sign_in(token, user, row.auth_time)
            token["id_token"] = self._id_token(user, row.auth_time, row.nonce)
            grants.spend_code(self.connection, row, sign_in_id, self.now)

    def _start_sign_in(self, token: dict[str, Any], user: User, auth_time: float) -> str | None:
        if "offline_access" not in token["scope"].split():
            return None
        sign_in = SignIn(new_id(), user.id, CLIENT_ID, token["scope"], auth_time, self.now)
        grants.add_sign_in(self.connection, sign_in, self.now)
        token["refresh_token"] = self._refresh_token(sign_in.id)
        return sign_in.id

    def _refresh_token(self, sign_in_id: str) -> str:
        secret = grants.new_secret()
        row = RefreshToken(grants.hash_of(secret), sign_in_id, self.now)
        grants.add_refresh_token(self.connection, row, self.now + REFRESH_LIFETIME)
        return secret

    def _id_token(self, user: User, auth_time: float, nonce: str) -> str:
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "sub": user.subject,
            "aud": CLIENT_ID,
            "iat": int(self.now),
            "exp": int(self.now) + ID_TOKEN_LIFETIME,
            "auth_time": int(auth_time),
            "jti": secrets.token_urlsafe(16),  # each is accepted once, so that no two may be the same
            "email": user.email,
            "name": user.name,
        }
        return sign(self._key, claims | ({"nonce": nonce} if nonce else {}))

    def user(self, user_id: str) -> User:
        """The person, if they may still sign in."""
        user = find_user(self.connection, user_id)
        if user is None or user.is_blocked:
            raise InvalidGrantError("this person may not sign in any more")
        return user


class _Code:
    """As Authlib wants to see it."""

    code_challenge_method = "S256"

    def __init__(self, row: AuthorizationCode) -> None:
        self.row, self.code_challenge = row, row.code_challenge

    def get_redirect_uri(self) -> str:
        return self.row.redirect_uri

    def get_scope(self) -> str:
        return self.row.scope


class CodeGrant(authlib_grants.AuthorizationCodeGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = ("none",)

    def query_authorization_code(self, code: str, client: Client) -> _Code:
        server: TokenServer = self.server
        row = grants.find_code(server.connection, code)
        if row is not None and row.used_at is not None:
            log.warning("an authorization code came a second time; what it gave is taken back")
            if row.sign_in_id is not None:
                grants.end_sign_in(server.connection, row.sign_in_id)
            raise InvalidGrantError("this code was used already")
        if row is None or server.now >= row.expires_at:
            raise InvalidGrantError("this code is unknown or too old")
        return _Code(row)

    def authenticate_user(self, code: _Code) -> User:
        server: TokenServer = self.server
        return server.user(code.row.user_id)

    def delete_authorization_code(self, code: _Code) -> None:
        pass  # save_token spent it; it is kept to notice a second use


class _RefreshToken:
    def __init__(self, row: RefreshToken, sign_in: SignIn) -> None:
        self.row, self.sign_in = row, sign_in

    def check_client(self, client: Client) -> bool:
        return self.sign_in.client_id == client.get_client_id()

    def get_scope(self) -> str:
        return self.sign_in.scope


class RefreshGrant(authlib_grants.RefreshTokenGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = ("none",)
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> _RefreshToken:
        server: TokenServer = self.server
        row = grants.find_refresh_token(server.connection, refresh_token)
        sign_in = grants.find_sign_in(server.connection, row.sign_in_id) if row is not None else None
        if row is None or sign_in is None:
            raise InvalidGrantError("this refresh token is unknown or was taken back")
        if row.used_at is not None:
            log.warning("a refresh token came a second time; its whole family is taken back")
            grants.end_sign_in(server.connection, sign_in.id)
            raise InvalidGrantError("this refresh token was used already")
        if server.now >= sign_in.expires_at:
            raise InvalidGrantError("this refresh token has expired")
        return _RefreshToken(row, sign_in)

    def authenticate_user(self, token: _RefreshToken) -> User:
        server: TokenServer = self.server
        return server.user(token.sign_in.user_id)

    def revoke_old_credential(self, token: _RefreshToken) -> None:
        server: TokenServer = self.server
        grants.spend_refresh_token(server.connection, token.row, server.now)


class _DeviceCode:
    def __init__(self, row: DeviceCode, now: float) -> None:
        self.row, self._now = row, now

    def get_client_id(self) -> str:
        return self.row.client_id

    def get_scope(self) -> str:
        return self.row.scope

    def get_user_code(self) -> DeviceCode:
        return self.row

    def is_expired(self) -> bool:
        return self._now >= self.row.expires_at


class DeviceGrant(DeviceCodeGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = ("none",)

    def query_device_credential(self, device_code: str) -> _DeviceCode:
        server: TokenServer = self.server
        row = grants.find_device_code(server.connection, device_code)
        if row is None:
            raise InvalidGrantError("this device code is unknown or was used already")
        return _DeviceCode(row, server.now)

    def query_user_grant(self, row: DeviceCode) -> tuple[User | None, bool] | None:
        server: TokenServer = self.server
        if row.denied:
            return None, False
        return None if row.user_id is None else (server.user(row.user_id), True)

    def should_slow_down(self, credential: _DeviceCode) -> bool:
        server: TokenServer = self.server
        row = credential.row
        is_early = row.polled_at is not None and server.now - row.polled_at < row.interval - POLL_TOLERANCE
        interval = row.interval + (SLOWER if is_early else 0)
        grants.change_device_code(server.connection, replace(row, polled_at=server.now, interval=interval))
        return is_early


def check_form(fields: list[tuple[str, str]]) -> dict[str, str]:
    """What a client posted, as a dictionary. Raises ValueError unless each field is there once, short and of visible ASCII."""
    form = dict(fields)
    if len(form) != len(fields):
        raise ValueError("a parameter is there twice")
    if any(len(text) > MAX_FIELD or not VISIBLE.fullmatch(text) for field in fields for text in field):
        raise ValueError("a parameter is too long or holds characters beyond ASCII")
    return form


def answer(connection: Connection, form: Mapping[str, str], issuer: str, key: SigningKey, now: float) -> TokenAnswer:
    """Answer a request that `check_form` let through. A part of a write transaction: errors are answers, too, and commit."""
    answered: TokenAnswer = TokenServer(connection, issuer, key, now).create_token_response(form)
    return answered
