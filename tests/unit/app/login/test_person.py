"""Tokens that are kept, used once each, and renewed; against the real local API."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.helper_client import HelperClient
from app.login import renewer as renewer_module
from app.login.person import account_of, forget, silently, token_for
from app.login.prompt import Prompt
from app.login.renewer import Renewer, renew
from app.login.sign_in import SignIn
from app.login.store import Kept, TokenStore
from helper.local_api.listener import serve
from protocol.errors import LoginNeeded, ServerUnreachable, SignInUnavailable
from protocol.join_link import JoinLink, ServerLocation
from protocol.local_api import StatusDocument, UpRequest
from protocol.sign_in import SignInFlow
from tests.support.openid import EMAIL, ScriptedProvider, WalkingBrowser
from tests.unit.helper.local_api.scripted import ScriptedController

END = "2026-05-05T03:02:01Z"


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    return TokenStore(tmp_path / "covey", on_file=lambda sentence: None)


async def signed_in(flow: SignInFlow, store: TokenStore, *, anew: bool = False, **options: str) -> tuple[str, list[Prompt]]:
    """The refresh token that is kept then, and what the person was asked."""
    prompts: list[Prompt] = []
    sign_in = SignIn(opens=WalkingBrowser(), patience=30)
    await token_for(flow, "default", on_prompt=prompts.append, browser=True, anew=anew, store=store, sign_in=sign_in, **options)
    kept = await store.load("default")
    assert kept is not None
    return kept.refresh_token, prompts


async def test_a_person_is_asked_once_and_then_no_more(provider: ScriptedProvider, store: TokenStore) -> None:
    first, prompts = await signed_in(provider.flow(), store)
    assert len(prompts) == 1
    second, prompts = await signed_in(provider.flow(), store)
    assert prompts == []
    assert second != first
    assert provider.refresh_tokens == {second}


async def test_a_person_who_wants_to_is_asked_again(provider: ScriptedProvider, store: TokenStore) -> None:
    await signed_in(provider.flow(), store)
    assert len((await signed_in(provider.flow(), store, anew=True))[1]) == 1


async def test_another_person_is_asked(provider: ScriptedProvider, store: TokenStore) -> None:
    await signed_in(provider.flow(), store)
    assert (await signed_in(provider.flow(), store, email=EMAIL.upper()))[1] == []
    assert len((await signed_in(provider.flow(), store, email="bob@example.org"))[1]) == 1


async def test_a_refresh_token_goes_to_its_own_provider_only(provider: ScriptedProvider, store: TokenStore) -> None:
    server = str(JoinLink(provider.flow().server))
    await store.save("default", Kept("secret", "https://another.example/token", "covey", EMAIL, 1.0, server))
    assert await silently(provider.flow(), "default", store=store) is None
    assert provider.asked == []


async def test_what_a_refresh_token_gives_goes_to_its_own_server_only(provider: ScriptedProvider, store: TokenStore) -> None:
    await signed_in(provider.flow(), store)
    asked = len(provider.asked)
    other = replace(provider.flow(), server=ServerLocation(("covey.example.net",)))  # which names the provider of the first
    assert await silently(other, "default", email=EMAIL, store=store) is None
    assert len(provider.asked) == asked
    assert await silently(provider.flow(), "default", store=store)


async def test_a_refresh_token_that_is_refused_is_forgotten_and_the_person_asked(
    provider: ScriptedProvider, store: TokenStore
) -> None:
    await signed_in(provider.flow(), store)
    provider.refresh_tokens.clear()
    assert len((await signed_in(provider.flow(), store))[1]) == 1
    provider.refresh_tokens.clear()
    assert await silently(provider.flow(), "default", store=store) is None
    assert await store.load("default") is None


async def test_a_provider_with_trouble_does_not_cost_the_refresh_token(provider: ScriptedProvider, store: TokenStore) -> None:
    kept, _ = await signed_in(provider.flow(), store)
    provider.answers = [503]
    with pytest.raises(SignInUnavailable):
        await silently(provider.flow(), "default", store=store)
    assert (await store.load("default")) is not None
    assert kept in provider.refresh_tokens


async def test_programs_that_renew_at_once_do_not_use_a_token_twice(provider: ScriptedProvider, tmp_path: Path) -> None:
    stores = [TokenStore(tmp_path / "covey", on_file=lambda sentence: None) for _ in range(4)]
    await signed_in(provider.flow(), stores[0])
    async with asyncio.timeout(30):
        found = await asyncio.gather(*(silently(provider.flow(), "default", store=store) for store in stores))
    assert all(found)


async def test_who_asked_may_go_but_the_new_refresh_token_is_kept(provider: ScriptedProvider, store: TokenStore) -> None:
    former, _ = await signed_in(provider.flow(), store)
    provider.hold, provider.token_asked = asyncio.Event(), asyncio.Event()
    asking = asyncio.create_task(silently(provider.flow(), "default", store=store))
    await provider.token_asked.wait()
    asking.cancel()
    await asyncio.wait([asking])
    provider.hold.set()
    async with asyncio.timeout(30):
        while True:
            async with store.locked():
                kept = await store.load("default")
            if kept is not None and kept.refresh_token != former:
                break
            await asyncio.sleep(0.01)
    assert kept.refresh_token in provider.refresh_tokens


async def test_signing_in_goes_well_even_if_nothing_can_be_kept(provider: ScriptedProvider, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = TokenStore(tmp_path / "file" / "covey")
    sign_in = SignIn(opens=WalkingBrowser(), patience=30)
    tokens = await token_for(
        provider.flow(), "default", on_prompt=lambda prompt: None, browser=True, anew=False, store=store, sign_in=sign_in
    )
    assert tokens.email == EMAIL
    await forget("default", store=store)


def test_each_helper_has_accounts_of_its_own() -> None:
    assert account_of(HelperClient(Path("/run/covey/helper.sock")), "work") == "work"
    assert account_of(HelperClient(Path("/tmp/other.sock")), "work") == "work at /tmp/other.sock"


# ---- renewal


class Controller(ScriptedController):
    """A helper whose server lets people sign in with this provider."""

    flow: SignInFlow

    async def sign_in_flow(self, place: UpRequest) -> SignInFlow:
        self.calls.append("sign-in-flow")
        self._fail()
        return self.flow


@pytest.fixture
def socket() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="covey-") as name:
        yield Path(name) / "helper.sock"


@pytest.fixture
async def controller(socket: Path, provider: ScriptedProvider) -> AsyncIterator[Controller]:
    scripted = Controller()
    scripted.flow = provider.flow()
    scripted.document |= {"email": EMAIL, "sessionExpiresAt": END}
    async with serve(scripted, socket):
        yield scripted


@pytest.fixture
async def client(socket: Path, provider: ScriptedProvider, store: TokenStore, controller: Controller) -> HelperClient:
    """Of a helper where Alice signed in before."""
    client = HelperClient(socket)
    provider.refresh_tokens.add("first")
    server = str(JoinLink(provider.flow().server))
    await store.save(account_of(client, "default"), Kept("first", f"{provider.origin}/oauth2/token", "covey", EMAIL, 1.0, server))
    return client


async def test_a_session_is_extended_while_the_tunnel_stays(
    client: HelperClient, controller: Controller, store: TokenStore
) -> None:
    assert await renew(client, store)
    match controller.calls:
        case ["sign-in-flow", ("extend-session", str(jwt))]:
            assert jwt.count(".") == 2
        case calls:
            raise AssertionError(calls)


async def test_a_session_that_has_ended_begins_again(client: HelperClient, controller: Controller, store: TokenStore) -> None:
    controller.document |= {"daemonStatus": "NeedsLogin"}
    assert await renew(client, store)
    [_, request] = controller.calls
    assert isinstance(request, UpRequest)
    assert request.jwt


async def test_without_what_renews_it_the_person_is_needed(
    client: HelperClient, controller: Controller, provider: ScriptedProvider, store: TokenStore
) -> None:
    provider.refresh_tokens.clear()
    assert not await renew(client, store)
    assert controller.calls == ["sign-in-flow"]


async def test_it_is_renewed_when_it_is_time_and_once(client: HelperClient, controller: Controller, store: TokenStore) -> None:
    times = {"now": 0.0}
    renewer = Renewer(client, store, clock=lambda: times["now"])
    running = asyncio.create_task(renewer.run())
    renewer.on_status(await client.status())
    await asyncio.sleep(0)
    assert controller.calls == []
    times["now"] = 1.8e9  # it was asleep
    renewer.on_status(status(controller, sessionExpiresAt="2026-05-05T03:02:02Z"))
    await called(controller, 2)
    times["now"] += 1
    renewer.on_status(status(controller, sessionExpiresAt="2030-05-05T03:02:02Z"))
    await asyncio.sleep(0.01)
    assert len(controller.calls) == 2
    running.cancel()
    await asyncio.wait([running])


@pytest.mark.parametrize(("failure", "tries"), [(ServerUnreachable("x"), 2), (LoginNeeded("x"), 1)])
async def test_what_may_go_well_later_is_tried_again(
    client: HelperClient,
    controller: Controller,
    store: TokenStore,
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception,
    tries: int,
) -> None:
    monkeypatch.setattr(renewer_module, "LOOK", 0.01)
    times = {"now": 1.8e9}
    controller.failure = failure
    renewer = Renewer(client, store, clock=lambda: times["now"])
    running = asyncio.create_task(renewer.run())
    renewer.on_status(controller.document)
    await called(controller, 1)
    await asyncio.sleep(0.05)
    assert len(controller.calls) == 1, "not yet"
    times["now"] += 31
    await called(controller, tries)
    await asyncio.sleep(0.05)
    assert len(controller.calls) == tries
    running.cancel()
    await asyncio.wait([running])


def status(controller: Controller, **changes: str) -> StatusDocument:
    return {**controller.document, **changes}  # type: ignore[typeddict-item]


async def called(controller: Controller, times: int) -> None:
    async with asyncio.timeout(30):
        while len(controller.calls) < times:
            await asyncio.sleep(0.01)
