"""Whole sign-ins over real HTTP, with and without a browser, and all that can go wrong."""

import asyncio
import socket
import ssl
from contextlib import closing
from typing import Any

import aiohttp
import pytest
from yarl import URL

from app.login import http
from app.login.prompt import Prompt
from app.login.sign_in import BY_HAND, SignIn
from protocol.errors import (
    CoveyError,
    PortTaken,
    SignInGivenUp,
    SignInNotOffered,
    SignInRefused,
    SignInUnavailable,
)
from tests.support.openid import EMAIL, ScriptedProvider, WalkingBrowser
from tests.unit.app.login.conftest import PATIENCE, Slept, elsewhere, in_browser, no_browser, waiting

# ---- with a browser here


async def test_a_person_signs_in_with_the_browser(
    provider: ScriptedProvider, browser: WalkingBrowser, prompts: list[Prompt]
) -> None:
    tokens = await in_browser(provider.flow(), browser, prompts)
    await browser.arrived.wait()

    assert (tokens.email, tokens.refresh_token) == (EMAIL, "refresh-1")
    assert tokens.expires_at > 0
    [prompt] = prompts
    assert (prompt.kind, prompt.user_code, prompt.note) == ("browser", "", "")
    assert prompt.url.startswith(f"{provider.origin}/oauth2/auth?response_type=code&")
    assert "You are signed in" in browser.page
    assert EMAIL in browser.page
    assert "close this tab" in browser.page
    assert not any(tokens.jwt in url or tokens.refresh_token in url for url in browser.urls)


async def test_the_last_page_runs_nothing_and_loads_nothing(provider: ScriptedProvider, browser: WalkingBrowser) -> None:
    await in_browser(provider.flow(), browser)
    await browser.arrived.wait()
    policy = browser.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert browser.headers["Cache-Control"] == "no-store"
    assert browser.headers["Referrer-Policy"] == "no-referrer"


async def test_a_foreign_answer_gets_a_page_that_says_so_and_the_wait_goes_on(provider: ScriptedProvider) -> None:
    prompted: asyncio.Queue[Prompt] = asyncio.Queue()
    flow = provider.flow()

    signing_in = asyncio.create_task(waiting(flow, prompted))
    prompt = await prompted.get()
    stranger, person = WalkingBrowser(), WalkingBrowser()
    provider.on_authorize = lambda answer: answer | {"state": "guessed"}
    await stranger.walk(prompt.url)
    assert stranger.status == 400
    assert "not the answer" in stranger.page
    assert not signing_in.done()
    assert provider.asked == []

    provider.on_authorize = None
    await person.walk(prompt.url)
    async with asyncio.timeout(PATIENCE):
        assert (await signing_in).email == EMAIL


async def test_only_one_answer_counts(provider: ScriptedProvider) -> None:
    prompted: asyncio.Queue[Prompt] = asyncio.Queue()
    provider.hold = asyncio.Event()

    signing_in = asyncio.create_task(waiting(provider.flow(), prompted))
    prompt = await prompted.get()
    first, second = WalkingBrowser(), WalkingBrowser()
    walking = asyncio.create_task(first.walk(prompt.url))
    await provider.token_asked.wait()
    await second.walk(prompt.url)
    assert second.status == 409
    provider.hold.set()
    await asyncio.gather(walking, signing_in)
    assert len(provider.asked) == 1


async def test_names_of_others_that_lead_here_get_nothing(provider: ScriptedProvider) -> None:
    prompted: asyncio.Queue[Prompt] = asyncio.Queue()
    answers: list[tuple[int, int]] = []

    async def opens(url: str) -> bool:
        redirect_uri = dict(URL(url).query)["redirect_uri"]
        async with aiohttp.ClientSession() as session:
            async with session.get(redirect_uri, headers={"Host": "evil.example"}) as rebound:
                pass
            async with session.get(redirect_uri.replace("/callback", "/favicon.ico")) as elsewhere:
                answers.append((rebound.status, elsewhere.status))
        await WalkingBrowser().walk(url)
        return True

    await SignIn(opens=opens, patience=PATIENCE).run(provider.flow(), on_prompt=prompted.put_nowait, browser=True)
    assert answers == [(403, 404)]


@pytest.mark.parametrize(
    ("error", "kind"), [("access_denied", SignInGivenUp), ("temporarily_unavailable", SignInUnavailable), ("x", SignInRefused)]
)
async def test_a_no_of_the_provider_is_told_here_and_in_the_browser(
    provider: ScriptedProvider, browser: WalkingBrowser, error: str, kind: type[CoveyError]
) -> None:
    provider.on_authorize = lambda answer: {"error": error, "state": answer["state"]}
    with pytest.raises(kind):
        await in_browser(provider.flow(), browser)
    await browser.arrived.wait()
    assert browser.status == 400
    assert "You are not signed in" in browser.page


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("invalid_grant", SignInRefused),
        ("invalid_client", SignInRefused),
        ("server_error", SignInUnavailable),
        (500, SignInUnavailable),
        (b"", SignInUnavailable),
        (b"<html>", SignInUnavailable),
        (b"[" * 100_000, SignInUnavailable),
        (b"[]", SignInUnavailable),
        (b'{"id_token": "opaque"}', SignInRefused),
        (b'"' + b"x" * http.MAX_ANSWER, SignInUnavailable),
    ],
)
async def test_a_code_that_gives_no_tokens_ends_the_sign_in(
    provider: ScriptedProvider, browser: WalkingBrowser, answer: str | int | bytes, kind: type[CoveyError]
) -> None:
    provider.answers = [answer]
    with pytest.raises(kind):
        await in_browser(provider.flow(), browser)
    assert len(provider.asked) == 1, "a code may be sent once"
    await browser.arrived.wait()
    assert browser.status == 400


@pytest.mark.parametrize(
    ("claims", "word"), [({"aud": "other"}, "audience"), ({"nonce": "old"}, "nonce"), ({"iss": "x"}, "provider")]
)
async def test_a_token_of_somebody_else_is_refused(
    provider: ScriptedProvider, browser: WalkingBrowser, claims: dict[str, Any], word: str
) -> None:
    provider.claims = claims
    with pytest.raises(SignInRefused, match=word):
        await in_browser(provider.flow(), browser)


async def test_a_person_who_closes_the_tab_is_not_waited_for_for_ever(provider: ScriptedProvider) -> None:
    opened = []

    async def opens(url: str) -> bool:
        opened.append(url)
        return True

    with pytest.raises(SignInGivenUp, match="Nobody signed in"):
        await SignIn(opens=opens, patience=0.05).run(provider.flow(), on_prompt=opened.append, browser=True)  # type: ignore[arg-type]
    assert opened


async def test_giving_up_frees_the_port(provider: ScriptedProvider) -> None:
    prompted: asyncio.Queue[Prompt] = asyncio.Queue()

    signing_in = asyncio.create_task(waiting(provider.flow(), prompted))
    url = URL((await prompted.get()).url)
    port = URL(url.query["redirect_uri"]).port
    signing_in.cancel()
    await asyncio.wait([signing_in])
    assert signing_in.cancelled()
    with closing(socket.create_server(("127.0.0.1", port or 0))):
        pass


async def test_the_first_free_port_of_those_that_the_provider_knows_is_taken(
    provider: ScriptedProvider, browser: WalkingBrowser, prompts: list[Prompt]
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as busy, closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        redirect_urls = (f"http://127.0.0.1:{busy.getsockname()[1]}/callback", f"http://localhost:{port}")
        await in_browser(provider.flow(redirect_urls=redirect_urls), browser, prompts)
    assert URL(prompts[0].url).query["redirect_uri"] == f"http://localhost:{port}"


async def test_where_all_ports_are_taken_another_machine_may_help(
    provider: ScriptedProvider, browser: WalkingBrowser, prompts: list[Prompt], slept: Slept
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as busy:
        redirect_urls = (f"http://127.0.0.1:{busy.getsockname()[1]}/callback",)
        tokens = await in_browser(provider.flow(redirect_urls=redirect_urls), browser, prompts, sleep=slept)
        with pytest.raises(PortTaken, match=str(busy.getsockname()[1])) as caught:
            await in_browser(provider.flow(redirect_urls=redirect_urls, device=False), browser)
    assert tokens.email == EMAIL
    assert [prompt.kind for prompt in prompts] == ["device"]
    assert "--no-browser" in caught.value.hint


async def test_where_no_browser_opens_another_machine_helps(
    provider: ScriptedProvider, prompts: list[Prompt], slept: Slept
) -> None:
    async with asyncio.timeout(PATIENCE):
        tokens = await SignIn(opens=no_browser, sleep=slept).run(provider.flow(), on_prompt=prompts.append, browser=True)
    assert tokens.email == EMAIL
    assert [prompt.kind for prompt in prompts] == ["browser", "device"]


async def test_without_browser_and_device_codes_the_person_opens_the_page(provider: ScriptedProvider) -> None:
    prompted: asyncio.Queue[Prompt] = asyncio.Queue()
    running = SignIn(opens=no_browser).run(provider.flow(device=False), on_prompt=prompted.put_nowait, browser=False)
    signing_in = asyncio.create_task(running)
    prompt = await prompted.get()
    assert prompt.note == BY_HAND
    await WalkingBrowser().walk(prompt.url)
    async with asyncio.timeout(PATIENCE):
        assert (await signing_in).email == EMAIL


async def test_a_server_with_no_way_to_sign_in_is_told() -> None:
    flow = ScriptedProvider("https://127.0.0.1:1").flow(pkce=False, device=False)
    with pytest.raises(SignInNotOffered):
        await SignIn().run(flow, on_prompt=print, browser=True)


# ---- without


async def test_a_person_signs_in_on_another_machine(provider: ScriptedProvider, slept: Slept, prompts: list[Prompt]) -> None:
    provider.answers = ["authorization_pending", "slow_down", 500, "authorization_pending"]
    tokens = await elsewhere(provider.flow(), slept, prompts)

    assert tokens.email == EMAIL
    page = f"{provider.origin}/oauth2/device"
    assert prompts == [Prompt("device", page, "BCDF-GHJK", 600, f"{page}?user_code=BCDF-GHJK", "")]
    assert slept.seconds == [5, 5, 10, 10, 10]
    assert {form["device_code"] for form in provider.asked} == {"secret-device-code"}


@pytest.mark.parametrize(
    ("code", "kind"), [("access_denied", SignInGivenUp), ("expired_token", SignInGivenUp), ("invalid_grant", SignInRefused)]
)
async def test_a_no_on_the_other_machine_ends_it(
    provider: ScriptedProvider, slept: Slept, code: str, kind: type[CoveyError]
) -> None:
    provider.answers = ["authorization_pending", code]
    with pytest.raises(kind):
        await elsewhere(provider.flow(), slept)


async def test_nobody_types_the_code_in_time(provider: ScriptedProvider, slept: Slept) -> None:
    provider.device = {"expires_in": 0.05}
    provider.hold = asyncio.Event()
    with pytest.raises(SignInGivenUp, match="Nobody typed"):
        await elsewhere(provider.flow(), slept)


async def test_a_start_that_fails_once_is_tried_again(provider: ScriptedProvider, slept: Slept) -> None:
    provider.device_status = [500]
    assert (await elsewhere(provider.flow(), slept)).email == EMAIL
    provider.device_status = [500, 502]
    with pytest.raises(SignInUnavailable):
        await elsewhere(provider.flow(), slept)


async def test_the_fingerprint_is_told_to_whom_a_browser_elsewhere_will_warn(
    certificate: tuple[ssl.SSLContext, bytes], slept: Slept, prompts: list[Prompt]
) -> None:
    context, pin = certificate
    async with ScriptedProvider().serve(context) as provider:
        await elsewhere(provider.flow(fingerprint=pin), slept, prompts)
    assert pin.hex(":").upper() in prompts[0].note
