"""What a browser and an app do at our provider, without either."""

import base64
import hashlib
import re
import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
from fastapi import FastAPI

from protocol.join_link import ServerLocation

LOCATION = ServerLocation(("203.0.113.10",), 443, bytes(32))
PASSWORD = "correct horse battery"
REDIRECT_URI = "http://127.0.0.1:53121/callback"


class Clock:
    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Browser:
    """A browser that follows no redirects by itself and sends forms as the page has them."""

    def __init__(self, app: FastAPI, address: str = "192.0.2.7", base_url: str = "https://203.0.113.10") -> None:
        transport = httpx2.ASGITransport(app, client=(address, 5))
        self.client = httpx2.AsyncClient(transport=transport, base_url=base_url)

    async def get(self, url: str) -> httpx2.Response:
        return await self.client.get(url)

    async def send(self, page: httpx2.Response, **fields: str) -> httpx2.Response:
        """Send the form of a page with these fields filled in; `form_token` as it is there, unless given."""
        found = re.search(r'name="form_token" value="([0-9a-f]+)"', page.text)
        token = {"form_token": found[1]} if found else {}
        action = re.search(r'<form method="post" action="([^"]+)"', page.text)
        return await self.client.post(action[1] if action else page.request.url, data=token | fields)

    async def post(self, path: str, **fields: str) -> httpx2.Response:
        return await self.client.post(path, data=fields)

    async def sign_in(self, url: str, email: str = "alice@example.org", password: str = PASSWORD) -> httpx2.Response:
        """Open a page that wants a sign-in, do it, and go where it leads."""
        page = await self.get((await self.get(url)).headers["location"])
        signed_in = await self.send(page, email=email, password=password)
        assert signed_in.status_code == 303, signed_in.text
        return await self.get(signed_in.headers["location"])


class AppSide:
    """What the app keeps to itself during a sign-in."""

    def __init__(self) -> None:
        self.verifier = secrets.token_urlsafe(48)

    def url(self, **changes: str) -> str:
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).decode().rstrip("=")
        parameters = {
            "client_id": "covey",
            "redirect_uri": REDIRECT_URI,
            "response_type": "code",
            "scope": "openid email profile offline_access",
            "state": "a state",
            "nonce": "a nonce",
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return "/oauth2/auth?" + urlencode(parameters | changes)

    def token_request(self, code: str) -> dict[str, str]:
        return {
            "grant_type": "authorization_code",
            "client_id": "covey",
            "code": code,
            "redirect_uri": REDIRECT_URI,
            "code_verifier": self.verifier,
        }


def answer_of(response: httpx2.Response) -> dict[str, str]:
    """What the app gets at its redirect URI."""
    assert response.status_code == 303, response.text
    location = response.headers["location"]
    assert location.startswith(REDIRECT_URI + "?"), location
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


NewCode = Callable[[], Awaitable[str]]
