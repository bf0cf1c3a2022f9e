"""The app signs a person in at a real server with a certificate of its own: in a browser here, elsewhere, and silently."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.login.person import silently, token_for
from app.login.prompt import Prompt
from app.login.sign_in import SignIn
from app.login.store import TokenStore
from app.login.tokens import Tokens, claims_of
from protocol.errors import CertificateMismatch, SignInGivenUp
from protocol.join_link import JoinLink, ServerLocation
from protocol.sign_in import Provider, SignInFlow
from tests.inprocess.programs import PATIENCE, join_link, run, server
from tests.lab.pages import visit

EMAIL, PASSWORD = "alice@example.org", "correct horse battery"

pytestmark = pytest.mark.timeout(360)


def flow_at(location: ServerLocation) -> SignInFlow:
    """What the server's management says, but for the endpoint that is not of the flow."""
    provider = Provider(
        "covey",
        f"{location.url}/oauth2/token",
        audience="covey",
        scope="openid profile email offline_access",
        use_id_token=True,
        redirect_urls=("http://127.0.0.1:0/callback",),
        ask_again="login",
    )
    pkce = replace(provider, authorization_endpoint=f"{location.url}/oauth2/auth")
    device = replace(provider, device_auth_endpoint=f"{location.url}/oauth2/device/code")
    return SignInFlow(location, pkce, device)


@pytest.fixture
async def flow(tmp_path: Path) -> AsyncIterator[SignInFlow]:
    """Of a server where Alice has an account."""
    data_dir, password_file = tmp_path / "data", tmp_path / "password"
    password_file.write_text(PASSWORD + "\n")
    async with server(data_dir):
        code, _, err = await run("users", "create", "--data-dir", data_dir, "--email", EMAIL, "--password-file", password_file)
        assert code == 0, err
        location = JoinLink.parse((await join_link(data_dir))["link"]).server
        assert location.fingerprint is not None
        yield flow_at(location)


class Person:
    """Goes through the pages that are shown; here they must come by way of this machine."""

    def __init__(self, decision: str) -> None:
        self._decision = decision
        self._walks: list[asyncio.Task[str]] = []

    async def opens(self, url: str) -> bool:
        assert url.startswith("http://127.0.0.1:")
        self._walks.append(asyncio.create_task(asyncio.to_thread(visit, url, EMAIL, PASSWORD, "", self._decision)))
        return True

    def reads(self, prompt: Prompt) -> None:
        walk = asyncio.to_thread(visit, prompt.url, EMAIL, PASSWORD, prompt.user_code, self._decision)
        if prompt.kind == "device":
            self._walks.append(asyncio.create_task(walk))
        else:
            walk.close()

    async def last_titles(self) -> list[str]:
        return await asyncio.gather(*self._walks)


async def signed_in(flow: SignInFlow, person: Person, store: TokenStore, *, browser: bool) -> Tokens:
    sign_in = SignIn(opens=person.opens, patience=PATIENCE, sleep=lambda seconds: person.last_titles())
    return await token_for(flow, "default", on_prompt=person.reads, browser=browser, anew=True, store=store, sign_in=sign_in)


@pytest.mark.parametrize("browser", [True, False])
async def test_alice_signs_in_and_stays_signed_in(flow: SignInFlow, tmp_path: Path, browser: bool) -> None:
    person, store = Person("allow"), TokenStore(tmp_path / "store", on_file=lambda sentence: None)
    first = await signed_in(flow, person, store, browser=browser)
    assert first.email == EMAIL
    assert (await person.last_titles())[0].startswith("You are signed in" if browser else "Done")

    second = await silently(flow, "default", email=EMAIL, store=store)
    assert second is not None
    one, other = claims_of(first.jwt), claims_of(second.jwt)
    assert one is not None
    assert other is not None
    assert (one["sub"], one["iss"]) == (other["sub"], other["iss"])
    assert second.jwt != first.jwt, "the server takes each once"
    assert second.refresh_token != first.refresh_token


@pytest.mark.parametrize("browser", [True, False])
async def test_alice_says_no(flow: SignInFlow, tmp_path: Path, browser: bool) -> None:
    person, store = Person("deny"), TokenStore(tmp_path / "store")
    with pytest.raises(SignInGivenUp):
        await signed_in(flow, person, store, browser=browser)
    await person.last_titles()
    assert await store.load("default") is None


async def test_a_server_with_another_certificate_is_told_nothing(flow: SignInFlow, tmp_path: Path) -> None:
    stranger = replace(flow, server=replace(flow.server, fingerprint=bytes(32)))
    person = Person("allow")
    with pytest.raises(CertificateMismatch):
        await signed_in(stranger, person, TokenStore(tmp_path / "store"), browser=True)
    assert await person.last_titles() == []
