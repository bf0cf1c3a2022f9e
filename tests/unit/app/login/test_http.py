"""How a provider is asked."""

from pathlib import Path

import pytest

from app.login.http import ProviderHttp
from protocol.join_link import ServerLocation
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
