"""Persons sign in: with the server's own provider, and with another Covey server as the external one."""

import asyncio
import base64
import contextlib
import hashlib
import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import grpc
import httpx2
import pytest

from protocol.envelope import open_message, seal_message
from protocol.errors import CoveyError, SignInRefused, UserBlocked
from protocol.generated.management_pb2 import (
    Empty,
    EncryptedMessage,
    ExtendAuthSessionRequest,
    ExtendAuthSessionResponse,
    LoginRequest,
    LoginResponse,
    PeerSystemMeta,
    PKCEAuthorizationFlow,
    PKCEAuthorizationFlowRequest,
    ProviderConfig,
    SyncRequest,
)
from protocol.generated.management_pb2_grpc import ManagementServiceStub
from protocol.grpc_errors import error_of
from protocol.join_link import JoinLink
from protocol.keys import PrivateKey, PublicKey
from tests.inprocess.programs import PATIENCE, join_link, run, server

EMAIL, PASSWORD = "alice@example.org", "correct horse battery"

pytestmark = pytest.mark.timeout(360)


class Machine:
    """As a helper talks to its server."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.stub, self.key = ManagementServiceStub(channel), PrivateKey.generate()
        self.meta = PeerSystemMeta(hostname="laptop")

    async def connect(self) -> None:
        self.server_key = PublicKey.from_text((await self.stub.GetServerKey(Empty())).key)

    def sealed(
        self, message: LoginRequest | SyncRequest | PKCEAuthorizationFlowRequest | ExtendAuthSessionRequest
    ) -> EncryptedMessage:
        return EncryptedMessage(wgPubKey=self.key.public.text, body=seal_message(message, self.key, self.server_key))

    async def flow(self) -> ProviderConfig:
        answer = await self.stub.GetPKCEAuthorizationFlow(self.sealed(PKCEAuthorizationFlowRequest()))
        return open_message(PKCEAuthorizationFlow, answer.body, self.key, self.server_key).ProviderConfig

    async def login(self, token: str = "") -> LoginResponse:
        answer = await self.stub.Login(self.sealed(LoginRequest(jwtToken=token, meta=self.meta)))
        return open_message(LoginResponse, answer.body, self.key, self.server_key)

    async def extend(self, token: str) -> ExtendAuthSessionResponse:
        answer = await self.stub.ExtendAuthSession(self.sealed(ExtendAuthSessionRequest(jwtToken=token)))
        return open_message(ExtendAuthSessionResponse, answer.body, self.key, self.server_key)


@dataclass(frozen=True)
class Tokens:
    id_token: str
    refresh_token: str


async def sign_in(config: ProviderConfig) -> Tokens:
    """What app and browser do: open the page, sign in, consent, take the code, and change it for tokens."""
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    redirect_uri = config.RedirectURLs[0]
    parameters = {
        "client_id": config.ClientID,
        "redirect_uri": redirect_uri,
        "response_type": "code",
        "scope": config.Scope,
        "state": "a state",
        "nonce": "a nonce",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    async with httpx2.AsyncClient(follow_redirects=False, timeout=PATIENCE) as browser:
        page = await browser.get(config.AuthorizationEndpoint + "?" + urlencode(parameters))
        for fields in ({"email": EMAIL, "password": PASSWORD}, {"decision": "allow"}):
            page = await at_a_form(browser, page)
            form_token = re.search(r'name="form_token" value="([0-9a-f]+)"', page.text)
            assert form_token is not None, page.text
            page = await browser.post(page.url, data={"form_token": form_token[1], **fields})
        location = page.headers["location"]
        assert location.startswith(redirect_uri), page.text
        code = parse_qs(urlsplit(location).query)["code"][0]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri, "code_verifier": verifier}
        return await tokens(browser, config, form)


async def at_a_form(browser: httpx2.AsyncClient, page: httpx2.Response) -> httpx2.Response:
    while page.is_redirect:
        page = await browser.get(page.url.join(page.headers["location"]))
    return page


async def tokens(client: httpx2.AsyncClient, config: ProviderConfig, form: dict[str, str]) -> Tokens:
    answer = await client.post(config.TokenEndpoint, data={"client_id": config.ClientID, **form})
    assert answer.status_code == 200, answer.text
    return Tokens(answer.json()["id_token"], answer.json()["refresh_token"])


async def renewed(config: ProviderConfig, refresh_token: str) -> Tokens:
    async with httpx2.AsyncClient(timeout=PATIENCE) as client:
        return await tokens(client, config, {"grant_type": "refresh_token", "refresh_token": refresh_token})


async def failure(call: object) -> tuple[grpc.StatusCode, CoveyError | None]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call  # type: ignore[misc]
    return caught.value.code(), error_of(caught.value.details() or "", caught.value.trailing_metadata())


async def to_its_end(stream: "grpc.aio.UnaryStreamCall[EncryptedMessage, EncryptedMessage]") -> None:
    while await stream.read() is not grpc.aio.EOF:
        pass


@contextlib.asynccontextmanager
async def machine_at(data_dir: Path) -> AsyncIterator[Machine]:
    link = JoinLink.parse((await join_link(data_dir))["link"])
    async with grpc.aio.insecure_channel(f"127.0.0.1:{link.server.port}") as channel:
        machine = Machine(channel)
        await machine.connect()
        yield machine


async def create_user(data_dir: Path, password_file: Path) -> None:
    password_file.write_text(PASSWORD + "\n")
    code, _, err = await run("users", "create", "--data-dir", data_dir, "--email", EMAIL, "--password-file", password_file)
    assert code == 0, err


async def test_alice_signs_in_at_one_server_to_be_let_in_by_another(tmp_path: Path) -> None:
    provider_dir, network_dir = tmp_path / "provider", tmp_path / "network"
    async with server(provider_dir, "--plaintext"), machine_at(provider_dir) as at_provider:
        await create_user(provider_dir, tmp_path / "password")
        own = await at_provider.flow()
        issuer = own.AuthorizationEndpoint.removesuffix("/auth")
        more = ("--plaintext", "--oidc-issuer", issuer, "--oidc-client-id", "covey")
        async with server(network_dir, *more), machine_at(network_dir) as machine:
            # the flow leads to the provider, and our own is off
            config = await machine.flow()
            assert (config.AuthorizationEndpoint, config.TokenEndpoint) == (own.AuthorizationEndpoint, own.TokenEndpoint)
            link = JoinLink.parse((await join_link(network_dir))["link"])
            async with httpx2.AsyncClient() as client:
                gone = await client.get(f"{link.server.url}/oauth2/.well-known/openid-configuration")
            assert gone.status_code == 404
            assert "another OpenID provider" in gone.text

            # a token lets her in, once
            first = await sign_in(config)
            response = await machine.login(first.id_token)
            assert response.sessionExpiresAt.seconds > 0
            code, out, err = await run("users", "list", "--data-dir", network_dir, "--json")
            assert code == 0, err
            assert EMAIL in out
            assert '"owner"' in out
            assert isinstance((await failure(machine.login(first.id_token)))[1], SignInRefused)

            # her session is extended by a renewed token
            second = await renewed(config, first.refresh_token)
            extended = await machine.extend(second.id_token)
            assert extended.sessionExpiresAt.seconds >= response.sessionExpiresAt.seconds

            # she is blocked by another program, and her stream ends
            stream = machine.stub.Sync(machine.sealed(SyncRequest(meta=machine.meta)))
            await stream.read()
            assert (await run("users", "block", EMAIL, "--data-dir", network_dir))[0] == 0
            async with asyncio.timeout(PATIENCE):
                code_of_stream, error = await failure(to_its_end(stream))
            assert code_of_stream is grpc.StatusCode.PERMISSION_DENIED
            assert isinstance(error, UserBlocked)
            assert isinstance((await failure(machine.login()))[1], UserBlocked)


async def test_alice_signs_in_with_the_servers_own_provider(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    async with server(data_dir, "--plaintext"), machine_at(data_dir) as machine:
        await create_user(data_dir, tmp_path / "password")
        config = await machine.flow()
        assert (config.ClientID, config.Audience, config.UseIDToken, config.LoginFlag) == ("covey", "covey", True, 0)
        response = await machine.login((await sign_in(config)).id_token)
        assert response.peerConfig.fqdn == "laptop.covey.internal"
        assert (await machine.login()).sessionExpiresAt == response.sessionExpiresAt


async def test_a_server_whose_provider_is_away_starts_and_refuses_nobody(tmp_path: Path) -> None:
    more = ("--plaintext", "--oidc-issuer", "http://127.0.0.1:9/oauth2", "--oidc-client-id", "covey")
    async with server(tmp_path / "data", *more), machine_at(tmp_path / "data") as machine:
        code, error = await failure(machine.flow())
        assert code is grpc.StatusCode.UNAVAILABLE
        assert "127.0.0.1:9" in str(error)
