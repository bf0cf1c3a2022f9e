"""An OpenID provider that does as a test tells it, over real HTTP, and a browser that walks through it."""

import asyncio
import base64
import hashlib
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import aiohttp
from aiohttp import web

from protocol.join_link import ServerLocation
from protocol.sign_in import Provider, SignInFlow

CLIENT, SCOPE = "covey", "openid email offline_access"
EMAIL = "alice@example.org"


def unsigned(**claims: Any) -> str:
    """A JWT as the app reads it: the signature is the server's matter."""
    parts = ({"alg": "RS256"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + ".c2ln"


@dataclass
class ScriptedProvider:
    """Attributes:
    answers: what the token endpoint says next, each once, before it does its work: an error's code, a status, or bytes.
    claims: of the ID token, over the usual ones.
    on_authorize: what to send back instead of the usual parameters.
    hold: the token endpoint waits for it.
    device: what the device endpoint says, over the usual.
    """

    origin: str = ""
    answers: list[str | int | bytes] = field(default_factory=list)
    claims: dict[str, Any] = field(default_factory=dict)
    on_authorize: Callable[[dict[str, str]], dict[str, str]] | None = None
    hold: asyncio.Event | None = None
    device: dict[str, Any] = field(default_factory=dict)
    device_status: list[int] = field(default_factory=list)
    refresh_tokens: set[str] = field(default_factory=set)
    asked: list[dict[str, str]] = field(default_factory=list)  # forms of the token endpoint
    pages: list[str] = field(default_factory=list)  # paths that a browser asked for
    token_asked: asyncio.Event = field(default_factory=asyncio.Event)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def flow(self, *, fingerprint: bytes | None = None, device: bool = True, pkce: bool = True, **changes: Any) -> SignInFlow:
        """The server is at the same place, as ours is."""
        server = ServerLocation.from_url(self.origin)
        given: dict[str, Any] = {"client_id": CLIENT, "audience": CLIENT, "scope": SCOPE, "use_id_token": True} | changes
        token, auth, device_code = (f"{self.origin}/oauth2/{name}" for name in ("token", "auth", "device/code"))
        return SignInFlow(
            ServerLocation(server.hosts, server.port, fingerprint, server.tls),
            Provider(token_endpoint=token, authorization_endpoint=auth, **given) if pkce else None,
            Provider(token_endpoint=token, device_auth_endpoint=device_code, **given) if device else None,
        )

    def id_token(self, **more: Any) -> str:
        usual = {"iss": self.origin, "aud": CLIENT, "sub": "1", "email": EMAIL, "exp": time.time() + 600}
        return unsigned(**{**usual, **more, **self.claims})

    async def authorize(self, request: web.Request) -> web.Response:
        self.pages.append(request.path)
        asked = dict(request.query)
        code = f"code-{len(self._codes)}"
        self._codes[code] = asked
        answer = {"code": code, "state": asked["state"], "iss": self.origin}
        if self.on_authorize is not None:
            answer = self.on_authorize(answer)
        raise web.HTTPFound(f"{asked['redirect_uri']}?{urlencode(answer)}")

    async def token(self, request: web.Request) -> web.Response:
        form = dict(parse_qsl(await request.text()))
        self.asked.append(form)
        self.token_asked.set()
        if self.hold is not None:
            await self.hold.wait()
        match self.answers.pop(0) if self.answers else None:
            case str(code):
                return web.json_response({"error": code}, status=400)
            case int(status):
                return web.Response(text="oops", status=status)
            case bytes(data):
                return web.Response(body=data, content_type="application/json")
        nonce: dict[str, str] = {}
        match form["grant_type"]:
            case "authorization_code":
                asked = self._codes.pop(form["code"])
                challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).decode().rstrip("=")
                assert (asked["code_challenge"], asked["redirect_uri"]) == (challenge, form["redirect_uri"])
                nonce = {"nonce": asked["nonce"]}
            case "refresh_token":
                if form["refresh_token"] not in self.refresh_tokens:
                    return web.json_response({"error": "invalid_grant", "error_description": "it was used already"}, status=400)
                self.refresh_tokens.remove(form["refresh_token"])
        refresh_token = f"refresh-{len(self.asked)}"
        self.refresh_tokens.add(refresh_token)
        return web.json_response(
            {"id_token": self.id_token(**nonce), "access_token": "opaque", "refresh_token": refresh_token, "token_type": "Bearer"}
        )

    async def device_code(self, request: web.Request) -> web.Response:
        if self.device_status:
            return web.Response(text="oops", status=self.device_status.pop(0))
        page = f"{self.origin}/oauth2/device"
        usual = {
            "device_code": "secret-device-code",
            "user_code": "BCDF-GHJK",
            "verification_uri": page,
            "verification_uri_complete": f"{page}?user_code=BCDF-GHJK",
            "expires_in": 600,
            "interval": 5,
        }
        return web.json_response({name: value for name, value in {**usual, **self.device}.items() if value is not None})

    async def echo(self, request: web.Request) -> web.Response:
        """Says what arrived, and sets a cookie."""
        self.pages.append(request.path)
        arrived = {"headers": dict(request.headers), "body": await request.text(), "cookies": dict(request.cookies)}
        response = web.json_response(arrived, headers={"Content-Security-Policy": "default-src 'none'"})
        response.set_cookie("covey_session", "the-session", secure=True, httponly=True, domain="example.org")
        return response

    async def redirect(self, request: web.Request) -> web.Response:
        raise web.HTTPFound(f"{self.origin}/oauth2/echo?x=1")

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/oauth2/auth", self.authorize)
        app.router.add_post("/oauth2/token", self.token)
        app.router.add_post("/oauth2/device/code", self.device_code)
        app.router.add_route("*", "/oauth2/echo", self.echo)
        app.router.add_get("/oauth2/redirect", self.redirect)
        app.router.add_get("/api/secret", self.echo)
        return app

    @asynccontextmanager
    async def serve(self, tls: ssl.SSLContext | None = None) -> AsyncIterator["ScriptedProvider"]:
        runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
            await site.start()
            host, port = runner.addresses[0]
            self.origin = f"{'https' if tls else 'http'}://{host}:{port}"
            yield self
        finally:
            if self.hold is not None:
                self.hold.set()
            await runner.cleanup()


class WalkingBrowser:
    """Goes wherever it is sent, keeps cookies, and trusts nobody but plain HTTP of this machine.

    Attributes:
        page: the text of the last page, once `arrived`.
    """

    def __init__(self) -> None:
        self.urls: list[str] = []
        self.status, self.page = 0, ""
        self.headers: dict[str, str] = {}
        self.arrived = asyncio.Event()
        self._walks: list[asyncio.Task[None]] = []

    async def __call__(self, url: str) -> bool:
        """As `app.login.browser.open_browser`: it walks while the caller goes on."""
        self._walks.append(asyncio.create_task(self.walk(url)))
        return True

    async def walk(self, url: str) -> None:
        assert urlsplit(url).hostname in ("127.0.0.1", "::1", "localhost")
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session, session.get(url) as response:
            self.urls += [str(step.url) for step in response.history] + [str(response.url)]
            self.status, self.page, self.headers = response.status, await response.text(), dict(response.headers)
        self.arrived.set()
