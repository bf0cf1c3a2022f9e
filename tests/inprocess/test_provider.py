"""Our OpenID provider behind the front door with TLS, as a client of somebody else's (Authlib's) meets it."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from argon2 import PasswordHasher
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from joserfc import jwt
from joserfc.jwk import KeySet

from protocol.addresses import Address
from protocol.join_link import ServerLocation
from server.certificates import ServerTls, own_certificate
from server.front_door.door import Backends, FrontDoor
from server.front_door.listeners import listen_on
from server.identity.issuer import DEVICE_CODE_GRANT
from server.identity.passwords import Passwords
from server.identity.provider import Identity
from server.identity.rate_limits import SIGN_INS_OF_PERSON
from server.store import Role, open_store
from server.web.app import make_app
from server.web.serve import serving_web

EMAIL, PASSWORD = "alice@example.org", "correct horse battery"
REDIRECT_URI = "http://127.0.0.1:53121/callback"
SCOPE = "openid email profile offline_access"


@dataclass
class Provider:
    identity: Identity
    tls: ssl.SSLContext
    document: dict[str, Any]
    now: float = 1_800_000_000.0

    def client(self) -> Any:
        return AsyncOAuth2Client(
            "covey",
            token_endpoint_auth_method="none",
            scope=SCOPE,
            redirect_uri=REDIRECT_URI,
            code_challenge_method="S256",
            token_endpoint=self.document["token_endpoint"],
            verify=self.tls,
        )

    def browser(self, address: str = "127.0.0.1") -> httpx2.AsyncClient:
        """Follows redirects within the server, and comes from this address."""
        transport = httpx2.AsyncHTTPTransport(verify=self.tls, local_address=address)
        return httpx2.AsyncClient(transport=transport, follow_redirects=True)

    async def claims(self, id_token: str) -> dict[str, Any]:
        async with self.browser() as browser:
            keys = KeySet.import_key_set((await browser.get(self.document["jwks_uri"])).json())
        claims: dict[str, Any] = jwt.decode(id_token, keys, algorithms=["RS256"]).claims
        return claims


@pytest.fixture
async def provider(tmp_path: Path) -> AsyncIterator[Provider]:
    certificate, key = own_certificate(tmp_path, [ip_address("127.0.0.1")])
    tls = ServerTls(certificate, key)
    listener = listen_on(Address.parse("127.0.0.1:0"))
    location = ServerLocation(("127.0.0.1",), listener.getsockname()[1], tls.certificate.fingerprint)
    cheap = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    async with (
        asyncio.timeout(100),
        open_store(tmp_path / "data") as store,
        FrontDoor([listener], Backends(tmp_path / "grpc", tmp_path / "web", tls.context, None)) as door,
    ):
        identity = Identity(store, location, passwords=cheap, clock=lambda: made.now)
        await store.people.add_user(EMAIL, "Alice", Role.USER, await cheap.hash(PASSWORD))
        async with serving_web(make_app(identity), tmp_path / "web", tls.context):
            door.open()
            trusted = ssl.create_default_context(cafile=str(certificate))
            async with httpx2.AsyncClient(verify=trusted) as client:
                answer = await client.get(f"{identity.issuer}/.well-known/openid-configuration")
            made = Provider(identity, trusted, answer.json())
            yield made
            door.close()


async def send(browser: httpx2.AsyncClient, page: httpx2.Response, **fields: str) -> httpx2.Response:
    token = re.search(r'name="form_token" value="([0-9a-f]+)"', page.text)
    action = re.search(r'<form method="post" action="([^"]+)"', page.text)
    assert token is not None, page.text
    url = page.url.join(action[1]) if action else page.url
    follow = fields.get("decision") != "allow" or action is not None
    return await browser.post(url, data={"form_token": token[1], **fields}, follow_redirects=follow)


async def test_a_client_signs_somebody_in_by_a_code_and_keeps_them_signed_in(provider: Provider) -> None:
    async with provider.client() as client, provider.browser() as browser:
        verifier = "v" * 64
        url, state = client.create_authorization_url(
            provider.document["authorization_endpoint"], code_verifier=verifier, nonce="a nonce"
        )
        consent = await send(browser, await browser.get(url), email=EMAIL, password=PASSWORD)
        back = (await send(browser, consent, decision="allow")).headers["location"]
        assert parse_qs(urlsplit(back).query)["iss"] == [provider.document["issuer"]]

        token = await client.fetch_token(authorization_response=back, state=state, code_verifier=verifier)
        claims = await provider.claims(token["id_token"])
        assert (claims["iss"], claims["aud"], claims["nonce"]) == (provider.document["issuer"], "covey", "a nonce")
        assert (claims["email"], claims["name"]) == (EMAIL, "Alice")

        provider.now += 86400
        renewed = await client.refresh_token(refresh_token=token["refresh_token"])
        assert (await provider.claims(renewed["id_token"]))["iat"] == int(provider.now)
        with pytest.raises(OAuthError, match="invalid_grant"):
            await client.refresh_token(refresh_token=token["refresh_token"])
        with pytest.raises(OAuthError, match="invalid_grant"):
            await client.refresh_token(refresh_token=renewed["refresh_token"])


async def test_a_client_without_a_browser_signs_somebody_in_by_a_device_code(provider: Provider) -> None:
    async with provider.client() as client, provider.browser() as browser:
        begun = (
            await client.request(
                "POST",
                provider.document["device_authorization_endpoint"],
                data={"client_id": "covey", "scope": SCOPE},
                withhold_token=True,
            )
        ).json()

        async def poll() -> dict[str, Any]:
            token: dict[str, Any] = await client.fetch_token(grant_type=DEVICE_CODE_GRANT, device_code=begun["device_code"])
            return token

        with pytest.raises(OAuthError, match="authorization_pending"):
            await poll()
        with pytest.raises(OAuthError, match="slow_down"):
            await poll()
        sign_in = await browser.get(begun["verification_uri_complete"])
        confirm = await send(browser, sign_in, email=EMAIL, password=PASSWORD)
        done = await send(browser, confirm, user_code=begun["user_code"], decision="allow")
        assert "being connected" in done.text
        assert (await provider.claims((await poll())["id_token"]))["email"] == EMAIL


async def test_limits_are_counted_by_where_a_connection_comes_from(provider: Provider) -> None:
    sign_in = f"{provider.identity.issuer}/sign-in"

    async def attempts(address: str, count: int) -> list[int]:
        async with provider.browser(address) as browser:
            page = await browser.get(sign_in)
            return [(await send(browser, page, email=EMAIL, password="guess")).status_code for _ in range(count)]

    assert (await attempts("127.0.0.1", SIGN_INS_OF_PERSON.amount + 1))[-1] == 429
    assert await attempts("127.0.0.2", 1) == [401]
    assert await attempts("127.0.0.1", 1) == [429]
