import pytest
from hypothesis import given
from hypothesis import strategies as st

from helper.clients.provider import MAX_REDIRECT_URLS, MAX_TEXT, read_device, read_pkce
from protocol.generated.management_pb2 import ProviderConfig
from protocol.join_link import ServerLocation
from protocol.sign_in import Provider

SERVER = ServerLocation(("203.0.113.10",), 443, bytes(32))
PLAIN = ServerLocation(("203.0.113.10", "VPN.example.org"), 8080, tls=False)
HTTPS = "https://id.example.org/"
TEXT = st.text(max_size=30) | st.sampled_from(["https://a", "http://127.0.0.1:1/x", "http://[", "javascript:alert(1)", "\n"])


def config(**changes: object) -> ProviderConfig:
    values = {
        "ClientID": "covey",
        "TokenEndpoint": HTTPS + "token",
        "AuthorizationEndpoint": HTTPS + "auth",
        "DeviceAuthEndpoint": HTTPS + "device",
        **changes,
    }
    return ProviderConfig(**values)  # type: ignore[arg-type]


def test_a_public_client_needs_little() -> None:
    assert read_pkce(config(), SERVER) == Provider(
        "covey", HTTPS + "token", authorization_endpoint=HTTPS + "auth", ask_again="login"
    )
    assert read_device(config(), SERVER) == Provider("covey", HTTPS + "token", device_auth_endpoint=HTTPS + "device")


@pytest.mark.parametrize(
    ("changes", "ask_again"),
    [
        ({}, "login"),
        ({"LoginFlag": 1}, "max_age"),
        ({"LoginFlag": 2}, ""),
        ({"LoginFlag": 77}, ""),
        ({"DisablePromptLogin": True}, ""),
    ],
)
def test_whether_a_session_of_the_browser_will_do(changes: dict[str, object], ask_again: str) -> None:
    assert read_pkce(config(**changes), SERVER).ask_again == ask_again


@pytest.mark.parametrize(
    "url",
    [
        "",
        "id.example.org/token",
        "http://id.example.org/token",
        "http://203.0.113.10/token",
        "ftp://id.example.org/token",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://id.example.org:port/",
        "https://id.example.org:99999/",
        "https://[2001:db8::1/",
        "https:///token",
        "https://alice:secret@id.example.org/",
        "https://id.example.org/a b",
        "https://id.example.org\\@evil.example.org/",
        "https://id.example.org/\r\nSet-Cookie: a",
        "https://id.example.org/\u202e",
        "https://id.example.org/" + "x" * MAX_TEXT,
    ],
)
def test_endpoints_that_are_not_safe_or_no_urls_are_refused(url: str) -> None:
    for name, read in (("TokenEndpoint", read_pkce), ("AuthorizationEndpoint", read_pkce), ("DeviceAuthEndpoint", read_device)):
        with pytest.raises(ValueError, match="that it names"):
            read(config(**{name: url}), SERVER)


@pytest.mark.parametrize("url", ["http://203.0.113.10:8080/token", "http://vpn.example.org:8080/", "http://127.0.0.1:9/token"])
def test_a_server_without_tls_may_be_its_own_provider_and_so_may_this_machine(url: str) -> None:
    assert read_pkce(config(TokenEndpoint=url), PLAIN).token_endpoint == url


def test_another_server_without_tls_may_not() -> None:
    for url in ("http://203.0.113.10/token", "http://203.0.113.11:8080/token"):
        with pytest.raises(ValueError, match="has no TLS"):
            read_pkce(config(TokenEndpoint=url), PLAIN)


def test_addresses_to_come_back_to_that_are_elsewhere_are_left_out() -> None:
    good = ["http://127.0.0.1:53000/", "http://localhost:0/callback", "http://[::1]:0/callback"]
    bad = ["http://192.0.2.1/", "https://127.0.0.1/", "org.example:/callback", "http://127.0.0.1.example.org/", "http://["]
    assert read_pkce(config(RedirectURLs=[*bad, *good]), SERVER).redirect_urls == tuple(good)
    assert len(read_pkce(config(RedirectURLs=good * 30), SERVER).redirect_urls) <= MAX_REDIRECT_URLS
    with pytest.raises(ValueError, match="no address to come back to"):
        read_pkce(config(RedirectURLs=bad), SERVER)


@pytest.mark.parametrize("name", ["ClientID", "Audience", "Scope", "ClientSecret"])
@pytest.mark.parametrize("value", ["a\nb", "a\x00", "x" * (MAX_TEXT + 1)])
def test_texts_that_cannot_be_meant_are_refused(name: str, value: str) -> None:
    for read in (read_pkce, read_device):
        with pytest.raises(ValueError, match="can't be used"):
            read(config(**{name: value}), SERVER)


@given(st.builds(ProviderConfig, ClientID=TEXT, TokenEndpoint=TEXT, AuthorizationEndpoint=TEXT, DeviceAuthEndpoint=TEXT,
                 Scope=TEXT, RedirectURLs=st.lists(TEXT, max_size=3)))  # fmt: skip
def test_anything_is_a_provider_or_a_value_error(found: ProviderConfig) -> None:
    for read in (read_pkce, read_device):
        try:
            provider = read(found, SERVER)
        except ValueError:
            continue
        assert Provider.from_json(provider.to_json()) == provider
        assert provider.token_endpoint.startswith(("https://", "http://127.0.0.1"))
