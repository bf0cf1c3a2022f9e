"""Sign-ins at providers that are down, silent, elsewhere or somebody else, and without the person."""

import asyncio
import socket
import ssl
from contextlib import closing

import pytest

from app.login import http
from app.login.sign_in import SignIn, refresh
from protocol.errors import (
    CertificateMismatch,
    CertificateUntrusted,
    SignInRefused,
    SignInUnavailable,
)
from protocol.sign_in import SignInFlow
from tests.support.openid import EMAIL, ScriptedProvider
from tests.unit.app.login.conftest import Slept, elsewhere

# ---- whom we talk to


@pytest.mark.parametrize("browser_is_there", [True, False])
async def test_a_provider_that_is_down_is_told_at_once(browser_is_there: bool) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as gone:
        flow = ScriptedProvider(f"http://127.0.0.1:{gone.getsockname()[1]}").flow()
    with pytest.raises(SignInUnavailable, match="can't be reached") as caught:
        await SignIn().run(flow, on_prompt=print, browser=browser_is_there)
    assert caught.value.hint


async def test_a_provider_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "ANSWER_TIMEOUT", 0.05)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        flow = ScriptedProvider(f"http://127.0.0.1:{silent.getsockname()[1]}").flow()
        with pytest.raises(SignInUnavailable, match="does not answer"):
            await SignIn().run(flow, on_prompt=print, browser=True)


async def test_what_speaks_no_http_is_no_provider() -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH\r\n")
        await reader.read(1)
        writer.close()

    async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
        flow = ScriptedProvider(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}").flow()
        with pytest.raises(SignInUnavailable):
            await SignIn().run(flow, on_prompt=print, browser=True)


async def test_the_address_of_a_server_that_answers_is_found(provider: ScriptedProvider, slept: Slept) -> None:
    flow = provider.flow()
    assert flow.device is not None
    server = flow.server
    hosts = ("127.0.0.2", "::1", "127.0.0.1")  # nobody is at the first two

    def first(url: str) -> str:
        return url.replace("127.0.0.1", "127.0.0.2")

    device = type(flow.device)(
        flow.device.client_id, first(flow.device.token_endpoint), audience="covey", use_id_token=True,
        device_auth_endpoint=first(flow.device.device_auth_endpoint),
    )  # fmt: skip
    moved = SignInFlow(type(server)(hosts, server.port, tls=False), device=device)
    assert (await elsewhere(moved, slept)).email == EMAIL


async def test_a_certificate_that_nobody_vouches_for_is_not_trusted(certificate: tuple[ssl.SSLContext, bytes]) -> None:
    async with ScriptedProvider().serve(certificate[0]) as provider:
        with pytest.raises(CertificateUntrusted):
            await SignIn().run(provider.flow(), on_prompt=print, browser=True)


async def test_another_certificate_than_the_pinned_one_is_refused_before_anything_is_sent(
    certificate: tuple[ssl.SSLContext, bytes],
) -> None:
    async with ScriptedProvider().serve(certificate[0]) as provider:
        flow = provider.flow(fingerprint=bytes(32))
        for browser_is_there in (True, False):
            with pytest.raises(CertificateMismatch):
                await SignIn().run(flow, on_prompt=print, browser=browser_is_there)
        with pytest.raises(CertificateMismatch):
            await refresh(flow, "secret")
        assert provider.asked == []


# ---- again, without the person


async def test_a_refresh_token_gives_new_tokens(provider: ScriptedProvider) -> None:
    provider.refresh_tokens = {"old"}
    tokens = await refresh(provider.flow(), "old")
    assert (tokens.email, tokens.refresh_token) == (EMAIL, "refresh-1")
    with pytest.raises(SignInRefused, match="used already"):
        await refresh(provider.flow(), "old")


async def test_a_provider_that_is_down_refused_nobody(provider: ScriptedProvider) -> None:
    provider.answers = [503]
    with pytest.raises(SignInUnavailable):
        await refresh(provider.flow(), "old")
