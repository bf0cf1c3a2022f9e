"""Another provider: what it says is read with care, and it may be away."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import RSAKey

from protocol.errors import SignInRefused, SignInUnavailable
from server.identity import external
from server.identity.external import MAX_ANSWER, Endpoints, ExternalProvider, ExternalSettings, read_document, read_keys
from server.identity.urls import check_redirect_url, check_url
from server.store import Store, open_store
from tests.unit.server.identity.tokens import EC, ED, ISSUER, NOW, RSA, SYMMETRIC, claims, public, token

BOUND = 20.0  # seconds; nothing here takes nearly as long
SETTINGS = ExternalSettings(ISSUER, "covey", "covey", "not really secret", redirect_urls=("http://127.0.0.1:0/callback",))
DOCUMENT = {
    "issuer": ISSUER,
    "authorization_endpoint": "https://id.example.org/auth",
    "token_endpoint": "https://id.example.org/token",
    "jwks_uri": "https://id.example.org/keys",
    "device_authorization_endpoint": "https://id.example.org/device",
    "and": {"whatever": "else"},
}


class Web:
    """The network, in which the provider answers as told."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.document: Callable[[], httpx2.Response] = lambda: httpx2.Response(200, json=DOCUMENT)
        self.keys: Callable[[], httpx2.Response] = lambda: httpx2.Response(200, json=public(EC))
        self.was_asked = asyncio.Event()

    async def answer(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(str(request.url))
        self.was_asked.set()
        await asyncio.sleep(0)
        return self.document() if request.url.path.endswith("openid-configuration") else self.keys()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path / "external", clock=lambda: NOW) as opened:
        yield opened


@pytest.fixture
def web() -> Web:
    return Web()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external, "PATIENCE", 0.01)
    monkeypatch.setattr(external, "FIRST_RETRY", 0.01)
    monkeypatch.setattr(external, "TIMEOUT", 0.05)


def provider(store: Store, web: Web, settings: ExternalSettings = SETTINGS) -> ExternalProvider:
    return ExternalProvider(store, settings, clock=lambda: NOW, transport=httpx2.MockTransport(web.answer))


async def test_flows_and_keys_come_from_where_the_document_says(store: Store, web: Web) -> None:
    async with provider(store, web) as found:
        offer = await found.provider()
        person = await found.verify(token())

    assert (offer.client_id, offer.client_secret, offer.audience) == ("covey", "not really secret", "covey")
    assert offer.authorization_endpoint == "https://id.example.org/auth"
    assert offer.token_endpoint == "https://id.example.org/token"
    assert offer.device_auth_endpoint == "https://id.example.org/device"
    assert offer.redirect_urls == ("http://127.0.0.1:0/callback",)
    assert person.email == "alice@example.org"
    assert web.asked == [ISSUER + "/.well-known/openid-configuration", "https://id.example.org/keys"]


async def test_a_flow_that_the_client_is_not_registered_for_is_not_offered(store: Store, web: Web) -> None:
    async with provider(store, web, replace(SETTINGS, device_flow=False)) as found:
        assert (await found.provider()).device_auth_endpoint == ""


async def test_the_issuer_of_tokens_is_the_configured_one(store: Store, web: Web) -> None:
    async with provider(store, web) as found:
        with pytest.raises(SignInRefused, match="of another provider"):
            await found.verify(token(claims(iss="https://id.example.org/realms/other")))


async def trouble(call: Callable[[], Awaitable[object]]) -> str:
    """Why nobody can sign in, once the provider has been tried."""
    while True:
        with pytest.raises(SignInUnavailable) as caught:
            await call()
        if "has not answered yet" not in str(caught.value) and "a moment ago" not in str(caught.value):
            return str(caught.value)


def fail() -> httpx2.Response:
    raise httpx2.ConnectError("connection refused")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (fail, "cannot be reached at https://id.example.org/realms/main/.well-known/openid-configuration: connection refused"),
        (lambda: httpx2.Response(503), "answers with status 503"),
        (lambda: httpx2.Response(302, headers={"location": "https://elsewhere.example.org/"}), "status 302"),
        (lambda: httpx2.Response(200, text="<html>"), "sends no JSON"),
        (lambda: httpx2.Response(200, content=b"[" * 100_000), "sends no JSON"),
        (lambda: httpx2.Response(200, content=b" " * (MAX_ANSWER + 1)), "more than"),
        (lambda: httpx2.Response(200, json=[]), "no JSON object"),
        (lambda: httpx2.Response(200, json=DOCUMENT | {"issuer": "https://evil.example.org"}), "calls itself"),
    ],
)
async def test_a_provider_that_is_of_no_use_is_told_and_tried_again(
    store: Store, web: Web, caplog: pytest.LogCaptureFixture, answer: Callable[[], httpx2.Response], words: str
) -> None:
    web.document = answer
    async with asyncio.timeout(BOUND), provider(store, web) as found:
        assert words in await trouble(found.provider)
        assert words in await trouble(lambda: found.verify(token()))
        web.document = lambda: httpx2.Response(200, json=DOCUMENT)
        while True:
            try:
                assert (await found.provider()).token_endpoint == "https://id.example.org/token"
                break
            except SignInUnavailable:
                web.was_asked.clear()
                await web.was_asked.wait()
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1  # once, however often it was tried
    assert words in warnings[0].getMessage()


@pytest.mark.usefixtures("impatient")
async def test_a_provider_that_answers_nothing_keeps_nobody_waiting(store: Store, web: Web) -> None:
    async def never(request: httpx2.Request) -> httpx2.Response:
        await asyncio.Event().wait()
        raise AssertionError

    web.answer = never  # type: ignore[method-assign]
    async with asyncio.timeout(BOUND), provider(store, web) as found:
        with pytest.raises(SignInUnavailable, match="has not answered yet"):
            await found.provider()
        assert "did not answer" in await trouble(found.provider)


@pytest.mark.usefixtures("impatient")
async def test_a_failure_of_the_keys_is_no_refusal(store: Store, web: Web) -> None:
    web.keys = lambda: httpx2.Response(500)
    async with provider(store, web) as found:
        with pytest.raises(SignInUnavailable, match="status 500"):
            await found.verify(token())


# ---- what it says


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"issuer": ISSUER + "/"}, "must be given exactly so"),
        ({"issuer": None}, "calls itself 'None'"),
        ({"token_endpoint": None}, "has no token_endpoint"),
        ({"jwks_uri": ""}, "has no jwks_uri"),
        ({"authorization_endpoint": 7}, "is no URL"),
        ({"jwks_uri": "http://id.example.org/keys"}, "is not https"),
        ({"jwks_uri": "file:///etc/passwd"}, "is no URL"),
        ({"device_authorization_endpoint": "https://a b"}, "is no URL"),
        ({"token_endpoint": "https://id.example.org:x/"}, "is no URL"),
        ({"token_endpoint": "https://user:pass@id.example.org/"}, "is no URL"),
    ],
)
def test_a_document_that_is_wrong_says_where(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_document(DOCUMENT | changes, SETTINGS)


def test_the_device_flow_may_be_missing() -> None:
    document = {name: value for name, value in DOCUMENT.items() if not name.startswith("device")}
    assert read_document(document, SETTINGS) == Endpoints(
        "https://id.example.org/auth", "https://id.example.org/token", "https://id.example.org/keys", ""
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
KEYS = st.dictionaries(
    st.sampled_from(["kty", "n", "e", "x", "y", "crv"]), st.sampled_from(["RSA", "EC", "P-256", "AQAB"]) | JSON
)


@given(st.dictionaries(st.sampled_from(sorted(DOCUMENT)), JSON))
def test_whatever_a_document_holds_it_is_read_or_a_value_error(changes: dict[str, Any]) -> None:
    with contextlib.suppress(ValueError):
        read_document(DOCUMENT | changes, SETTINGS)


def test_of_the_keys_only_those_count_that_verify_signatures() -> None:
    short = RSAKey.import_key(RSA.as_dict(private=False, kid="enc", use="enc"))
    entries = [
        *public(EC, RSA, ED)["keys"],
        short.as_dict(private=False),
        SYMMETRIC.as_dict(private=True),
        {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "broken"},
        {"kty": "RSA", "n": "wV6c0xvN8vG5m1m3JbUq2yqD4P9X3l2o3l4WnQ8wTt8", "e": "AQAB", "kid": "256 bits"},
        {"kty": "EC", "crv": "P-1", "x": "AA", "y": "AA"},
        {"kty": "from the future"},
        {"kty": []},
        None,
        "key",
    ]
    assert [key.kid for key in read_keys({"keys": entries})] == ["ec", "rsa", "ed"]


@pytest.mark.parametrize(
    "document", [None, [], {}, {"keys": None}, {"keys": {}}, {"keys": []}, {"keys": [{}, {"kty": "oct", "k": "AA"}]}]
)
def test_no_usable_keys_are_an_error(document: Any) -> None:
    with pytest.raises(ValueError, match="key"):
        read_keys(document)


@given(st.fixed_dictionaries({"keys": st.lists(KEYS | JSON, max_size=4)}))
def test_whatever_keys_come_they_are_read_or_a_value_error(document: Any) -> None:
    with contextlib.suppress(ValueError):
        read_keys(document)


@pytest.mark.parametrize("url", ["https://id.example.org", "http://127.0.0.1:8080/x", "http://[::1]/", "http://localhost:1"])
def test_https_or_this_machine_is_good_enough(url: str) -> None:
    check_url(url, may_be_plain=False)


@pytest.mark.parametrize("url", ["http://203.0.113.9/oauth2", "http://localhost.example.org", "http://127.0.0.1.example.org/"])
def test_http_elsewhere_has_to_be_allowed(url: str) -> None:
    with pytest.raises(ValueError, match="not https"):
        check_url(url, may_be_plain=False)
    check_url(url, may_be_plain=True)


@pytest.mark.parametrize("url", ["http://127.0.0.1:53000/callback", "http://[::1]:0/callback", "http://localhost/callback"])
def test_a_browser_comes_back_to_this_machine(url: str) -> None:
    check_redirect_url(url)


@pytest.mark.parametrize("url", ["https://127.0.0.1/callback", "http://192.0.2.1/callback", "http://127.0.0.1/?x", "callback", 5])
def test_and_nowhere_else(url: object) -> None:
    with pytest.raises(ValueError, match=r"is not like http://127|is no URL"):
        check_redirect_url(url)


def test_the_secret_does_not_show() -> None:
    assert "not really secret" not in repr(SETTINGS)
