"""A browser that knows nothing of our certificate reads the server's pages through us."""

import asyncio
import ssl
from collections.abc import AsyncIterator

import aiohttp
import pytest

from app.login.http import ProviderHttp
from app.login.loopback import Loopback, listen
from app.login.pinned_proxy import MAX_BODY, MAX_PAGE, PinnedProxy
from app.login.prompt import Prompt
from app.login.sign_in import SignIn
from app.login.tokens import Tokens
from protocol.errors import CertificateMismatch
from tests.support.openid import EMAIL, ScriptedProvider, WalkingBrowser


async def take(query: object) -> Tokens:
    raise AssertionError("nobody comes back")


@pytest.fixture
async def pinned(certificate: tuple[ssl.SSLContext, bytes]) -> AsyncIterator[ScriptedProvider]:
    async with ScriptedProvider().serve(certificate[0]) as serving:
        yield serving


@pytest.fixture
async def loopback(pinned: ScriptedProvider, certificate: tuple[ssl.SSLContext, bytes]) -> AsyncIterator[Loopback]:
    flow = pinned.flow(fingerprint=certificate[1])
    assert flow.pkce is not None
    async with (
        ProviderHttp(flow.server, flow.pkce.token_endpoint) as http,
        listen((), take, PinnedProxy(http, flow.pkce.authorization_endpoint)) as listening,
    ):
        yield listening


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as opened:
        yield opened


async def test_a_browser_that_would_warn_signs_in(
    pinned: ScriptedProvider, certificate: tuple[ssl.SSLContext, bytes], browser: WalkingBrowser, prompts: list[Prompt]
) -> None:
    tokens = await SignIn(opens=browser, patience=30).run(
        pinned.flow(fingerprint=certificate[1]), on_prompt=prompts.append, browser=True
    )
    await browser.arrived.wait()
    assert tokens.email == EMAIL
    assert prompts[0].url.startswith("http://127.0.0.1:")
    assert len({url.split("/")[2] for url in browser.urls}) == 1, "all at one address of this machine"
    assert "You are signed in" in browser.page


async def test_the_server_never_learns_where_the_browser_thinks_it_is(
    pinned: ScriptedProvider, loopback: Loopback, session: aiohttp.ClientSession
) -> None:
    headers = {"Origin": loopback.origin, "Referer": f"{loopback.origin}/oauth2/auth?secret", "X-Forwarded-For": "1.2.3.4"}
    async with session.post(f"{loopback.origin}/oauth2/echo", data={"a": "ü b"}, headers=headers) as response:
        arrived = await response.json()
    assert arrived["body"] == "a=%C3%BC+b"
    assert arrived["headers"]["Host"] == pinned.origin.removeprefix("https://")
    assert arrived["headers"]["Origin"] == pinned.origin
    assert not {"Referer", "X-Forwarded-For"} & set(arrived["headers"])


async def test_the_servers_cookies_stay_here_and_each_browser_has_its_own(
    loopback: Loopback, session: aiohttp.ClientSession
) -> None:
    echo = f"{loopback.origin}/oauth2/echo"
    async with session.get(echo) as first:
        assert "the-session" not in str(first.headers)
        [cookie] = first.cookies.values()
        assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["secure"]) == (True, "Lax", "/", "")
        assert (await first.json())["cookies"] == {}
    async with session.get(echo) as second:
        assert (await second.json())["cookies"] == {"covey_session": "the-session"}
    async with aiohttp.ClientSession() as other, other.get(echo, headers={"Cookie": "covey_session=stolen"}) as third:
        assert (await third.json())["cookies"] == {}


async def test_a_page_that_leads_on_leads_on_here(loopback: Loopback, session: aiohttp.ClientSession) -> None:
    async with session.get(f"{loopback.origin}/oauth2/redirect", allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (302, f"{loopback.origin}/oauth2/echo?x=1")


async def test_the_pages_policy_arrives(loopback: Loopback, session: aiohttp.ClientSession) -> None:
    async with session.get(f"{loopback.origin}/oauth2/echo") as response:
        assert response.headers["Content-Security-Policy"] == "default-src 'none'"
        assert response.headers["Content-Type"].startswith("application/json")


PATHS = (
    "/api/secret",
    "/",
    "/oauth2",
    "/oauth2/../api/secret",
    "/oauth2/%2e%2e/api/secret",
    "/oauth2/..%5capi/secret",
    "/%6Fauth2/echo",
)


@pytest.mark.parametrize("path", PATHS)
async def test_nothing_but_the_pages_of_a_sign_in_is_shown(pinned: ScriptedProvider, loopback: Loopback, path: str) -> None:
    host = loopback.origin.removeprefix("http://")
    for method in ("GET", "POST"):
        assert await raw_status(host, method, path) == 404
    assert pinned.pages == []


@pytest.mark.parametrize(("site", "status"), [("cross-site", 404), ("same-site", 404), ("same-origin", 200), ("none", 200)])
async def test_pages_of_others_ask_for_nothing_here(
    loopback: Loopback, session: aiohttp.ClientSession, site: str, status: int
) -> None:
    async with session.get(f"{loopback.origin}/oauth2/echo", headers={"Sec-Fetch-Site": site}) as response:
        assert response.status == status


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "CONNECT"])
async def test_no_other_method_is_handed_on(pinned: ScriptedProvider, loopback: Loopback, method: str) -> None:
    host = loopback.origin.removeprefix("http://")
    assert await raw_status(host, method, "/oauth2/echo") in (400, 403, 404)
    assert pinned.pages == []


async def test_damaged_requests_leave_nothing_in_the_terminal(loopback: Loopback, caplog: pytest.LogCaptureFixture) -> None:
    assert await raw_status(loopback.origin.removeprefix("http://"), "GET", "/oauth2/echo HTTP/1.1\r\nHost: other\r\nX:") == 400
    assert caplog.records == []


async def raw_status(host: str, method: str, path: str) -> int:
    """Ask as no client library would let us."""
    name, _, port = host.rpartition(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.readline()
    writer.close()
    return int(answer.split()[1])


async def test_a_form_has_a_limit(loopback: Loopback, session: aiohttp.ClientSession) -> None:
    async with session.post(f"{loopback.origin}/oauth2/echo", data=b"x" * (MAX_BODY + 1)) as response:
        assert response.status == 413


async def test_a_page_has_a_limit(loopback: Loopback, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.login.pinned_proxy.MAX_PAGE", 100)
    assert MAX_PAGE > 100
    async with session.post(f"{loopback.origin}/oauth2/echo", data=b"x" * 200) as response:
        assert response.status == 502
        assert "too large" in await response.text()


async def test_another_certificate_ends_the_sign_in_and_the_page_says_why(pinned: ScriptedProvider) -> None:
    flow = pinned.flow(fingerprint=bytes(32))
    assert flow.pkce is not None
    async with (
        ProviderHttp(flow.server, flow.pkce.token_endpoint) as http,
        listen((), take, PinnedProxy(http, flow.pkce.authorization_endpoint)) as loopback,
        aiohttp.ClientSession() as session,
    ):
        async with session.get(f"{loopback.origin}/oauth2/echo") as response:
            assert response.status == 502
            assert "another certificate" in await response.text()
        with pytest.raises(CertificateMismatch):
            await loopback.result
    assert pinned.pages == []
