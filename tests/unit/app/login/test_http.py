"""How a provider is asked."""

import ssl
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from app.login.http import ProviderHttp
from protocol.errors import CertificateMismatch, SignInUnavailable
from protocol.join_link import ServerLocation
from tests.support.http_proxy import ConnectProxy
from tests.support.openid import ScriptedProvider


async def test_a_provider_learns_no_password_of_the_netrc(
    provider: ScriptedProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("default login alice password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    url = f"{provider.origin}/oauth2/echo"
    async with ProviderHttp(ServerLocation(("covey.example.net",)), url) as http:
        answer = await http.post(url, {"a": "b"})
    assert "Authorization" not in answer.body["headers"]


async def test_the_way_to_a_provider_may_lead_through_a_proxy(
    provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, provider.origin)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    url = "http://id.example.net/oauth2/echo"
    async with ProviderHttp(ServerLocation(("covey.example.net",)), url) as http:
        answer = await http.post(url, {"a": "b"})
    assert answer.body["headers"]["Host"] == "id.example.net"


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    def name(port: int) -> None:
        for variable in ("https_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(variable, f"http://alice:hush@127.0.0.1:{port}")

    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    return name


async def test_the_server_itself_is_asked_through_a_proxy_by_its_pin(
    certificate: tuple[ssl.SSLContext, bytes], proxied: Callable[[int], None]
) -> None:
    tls, pin = certificate
    async with (
        ScriptedProvider().serve(tls) as provider,
        ConnectProxy("alice:hush", places={"vpn.test": "127.0.0.1"}).serving() as proxy,
    ):
        proxied(proxy.port)
        port = urlsplit(provider.origin).port or 0
        url = f"https://vpn.test:{port}/oauth2/echo"
        async with ProviderHttp(ServerLocation(("vpn.test",), port, pin), url) as http:
            answer = await http.post(url, {"a": "b"})
        assert answer.body["headers"]["Host"] == f"vpn.test:{port}"
        async with ProviderHttp(ServerLocation(("vpn.test",), port, bytes(32)), url) as http:
            with pytest.raises(CertificateMismatch):
                await http.post(url, {"a": "secret"})
    assert set(proxy.asked) == {f"vpn.test:{port}"}


async def test_a_proxy_that_does_not_lead_to_the_server_is_passed_by(
    certificate: tuple[ssl.SSLContext, bytes], proxied: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    tls, pin = certificate
    monkeypatch.setattr("app.login.http._is_this_machine", lambda _: False)
    async with ScriptedProvider().serve(tls) as provider, ConnectProxy(ports=(443,)).serving() as proxy:
        proxied(proxy.port)
        url = f"{provider.origin}/oauth2/echo"
        async with ProviderHttp(ServerLocation(("127.0.0.1",), urlsplit(url).port or 0, pin), url) as http:
            assert (await http.post(url, {"a": "b"})).status == 200
        elsewhere = "https://id.test/oauth2/echo"
        async with ProviderHttp(ServerLocation(("127.0.0.1",), 443, pin), elsewhere) as http:
            with pytest.raises(SignInUnavailable) as caught:
                await http.post(elsewhere, {"a": "b"})
    assert len(proxy.asked) == 2
    assert "hush" not in str(caught.value)
