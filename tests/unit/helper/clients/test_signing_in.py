"""The management client's calls that sign people in."""

import asyncio

import grpc
import pytest

from helper.clients import management
from protocol.errors import (
    CoveyError,
    LoginRefused,
    ServerUnreachable,
    SignInNotOffered,
    SignInRefused,
    SignInUnavailable,
    UserBlocked,
)
from protocol.generated.management_pb2 import (
    DeviceAuthorizationFlow,
    LoginResponse,
    PeerConfig,
    PKCEAuthorizationFlow,
    ProviderConfig,
)
from tests.unit.helper.clients.servers import Management, serving
from tests.unit.helper.clients.test_management import client_at, location, registered

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJlLW9mLWFsaWNl"
PKCE = PKCEAuthorizationFlow(
    ProviderConfig=ProviderConfig(
        ClientID="covey",
        Audience="covey",
        TokenEndpoint="https://id.example.org/token",
        AuthorizationEndpoint="https://id.example.org/auth",
        Scope="openid email offline_access",
        UseIDToken=True,
        RedirectURLs=["http://127.0.0.1:0/callback"],
    )
)
DEVICE = DeviceAuthorizationFlow(
    ProviderConfig=ProviderConfig(
        ClientID="covey",
        TokenEndpoint="https://id.example.org/token",
        DeviceAuthEndpoint="https://id.example.org/device",
    )
)


async def test_a_token_goes_to_the_server_once_and_beside_no_setup_key() -> None:
    server = Management()
    server.tokens.add(TOKEN)
    async with serving(server) as port, client_at(port) as client:
        await client.sign_in(TOKEN)
    assert [(login.setupKey, login.jwtToken) for login in server.logins] == [(str(management.uuid.UUID(int=0)), TOKEN)]
    assert server.logins[0].meta.hostname == "alice"
    assert len(server.known) == 1


async def test_a_login_without_the_signal_server_is_followed_by_one_without_the_token() -> None:
    server = Management()
    server.tokens.add(TOKEN)
    server.response = LoginResponse(peerConfig=PeerConfig(address="100.92.0.1/16"))
    async with serving(server) as port, client_at(port) as client:
        await client.sign_in(TOKEN)
    assert [login.jwtToken for login in server.logins] == [TOKEN, ""]


@pytest.mark.parametrize("status", management.REFUSED)
async def test_a_refused_token_is_told_in_the_server_s_words_but_not_repeated(status: grpc.StatusCode) -> None:
    server = Management()
    server.refusal = (status, f"the token {TOKEN}\nis not for us")
    async with serving(server) as port, client_at(port) as client:
        for call in (client.sign_in, client.extend_session):
            with pytest.raises(SignInRefused, match=r"the token \(a token\) is not for us") as caught:
                await call(TOKEN)
            assert "eyJ" not in str(caught.value)
    assert [login.jwtToken for login in server.logins] == [TOKEN]


@pytest.mark.parametrize("error", [UserBlocked("alice@example.org is blocked"), SignInUnavailable("the provider is silent")])
async def test_the_server_s_own_reason_arrives_and_the_token_is_not_sent_again(error: CoveyError) -> None:
    server = Management()
    server.refusal = error
    async with serving(server) as port, client_at(port) as client:
        with pytest.raises(type(error), match=str(error)):
            await client.sign_in(TOKEN)
    assert len(server.logins) == 1


async def test_a_sign_in_whose_answer_was_lost_is_confirmed_by_a_login_without_the_token() -> None:
    server = Management()
    server.tokens.add(TOKEN)
    server.lose_answers = 1
    async with serving(server) as port, client_at(port) as client:
        response = await client.sign_in(TOKEN)
    assert response == server.response
    assert [login.jwtToken for login in server.logins] == [TOKEN, ""]


async def test_a_sign_in_that_got_lost_says_that_a_new_token_is_needed() -> None:
    class Lossy(Management):
        async def Login(self, request, context):
            if not self.logins:
                self.logins.append(None)
                await context.abort(grpc.StatusCode.UNAVAILABLE, "the connection broke")
            return await super().Login(request, context)

    async with serving(Lossy()) as port, client_at(port) as client:
        with pytest.raises(ServerUnreachable) as caught:
            await client.sign_in(TOKEN)
    assert "Sign in again" in caught.value.hint


async def test_a_token_that_never_left_is_not_said_to_be_used_up() -> None:
    async with serving(Management()) as port:
        pass
    async with client_at(port) as client:
        with pytest.raises(ServerUnreachable) as caught:
            await client.sign_in(TOKEN)
    assert "used up" not in caught.value.hint


async def test_a_session_is_extended() -> None:
    server = Management()
    server.tokens.add(TOKEN)
    server.ends = 1_900_000_000
    async with registered(server) as client:
        assert (await client.extend_session(TOKEN)).sessionExpiresAt.seconds == 1_900_000_000
        server.lacks.add("ExtendAuthSession")
        with pytest.raises(SignInNotOffered, match="renews no sessions"):
            await client.extend_session(TOKEN)


async def test_the_flow_says_what_the_server_said() -> None:
    server = Management()
    server.pkce, server.device = PKCE, DEVICE
    async with serving(server) as port, client_at(port) as client:
        flow = await client.sign_in_flow()
    assert flow.server == location(port)
    assert flow.pkce is not None
    assert flow.device is not None
    assert flow.pkce.scope == "openid email offline_access"
    assert flow.device.device_auth_endpoint == "https://id.example.org/device"


async def test_one_flow_is_enough() -> None:
    server = Management()
    server.device = DEVICE
    for status in (*management.NOT_OFFERED, grpc.StatusCode.INTERNAL):
        server.pkce = status
        async with serving(server) as port, client_at(port) as client:
            flow = await client.sign_in_flow()
        assert flow.pkce is None
        assert flow.device is not None


async def test_a_server_where_nobody_signs_in_says_so() -> None:
    server = Management()
    async with serving(server) as port, client_at(port) as client:
        with pytest.raises(SignInNotOffered, match="lets nobody sign in"):
            await client.sign_in_flow()
        server.pkce = SignInNotOffered("people do not sign in here", "Ask Alice.")
        with pytest.raises(SignInNotOffered, match="people do not sign in here") as caught:
            await client.sign_in_flow()
    assert caught.value.hint == "Ask Alice."


@pytest.mark.parametrize("status", [grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED])
async def test_a_server_in_trouble_is_not_one_without_sign_in(status: grpc.StatusCode) -> None:
    server = Management()
    server.device = status
    async with serving(server) as port, client_at(port) as client:
        with pytest.raises(ServerUnreachable):
            await client.sign_in_flow()


async def test_a_provider_that_is_not_safe_is_not_offered() -> None:
    server = Management()
    server.pkce = PKCEAuthorizationFlow()
    server.pkce.CopyFrom(PKCE)
    server.pkce.ProviderConfig.TokenEndpoint = "http://id.example.org/token"
    async with serving(server) as port, client_at(port) as client:
        with pytest.raises(SignInNotOffered, match="the token endpoint that it names has no TLS"):
            await client.sign_in_flow()


async def test_a_silent_server_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(Management):
        async def GetPKCEAuthorizationFlow(self, request, context):
            await asyncio.Event().wait()

    monkeypatch.setattr(management, "ATTEMPT_TIMEOUT", 0.05)
    async with serving(Silent()) as port, client_at(port) as client:
        with pytest.raises(ServerUnreachable, match=r"in time|no answer|no gRPC"):
            await client.sign_in_flow()


def test_what_is_refused_is_a_refused_login() -> None:
    assert issubclass(SignInRefused, LoginRefused)
