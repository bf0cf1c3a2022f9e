"""The model against the real local API, over a controller that does as it is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app import watch
from app.helper_client import HelperClient
from app.login.prompt import OnPrompt, Prompt
from app.model import AppModel
from app.state import AppState, Doing, Failure, Helper
from helper.local_api.listener import serve
from helper.preferences import DEFAULTS
from protocol.errors import LoginNeeded, ServerUnreachable, SignInRefused
from protocol.local_api import Preferences, UpRequest
from protocol.sign_in import SignInFlow
from tests.gui.conftest import in_qt, until
from tests.unit.helper.local_api.scripted import FLOW, ScriptedController, peer, status_document

PROMPT = Prompt("browser", "https://vpn.example.org/oauth2/auth", "", 300.0, "https://vpn.example.org/oauth2/auth")


class Person:
    """Signs in as a test tells."""

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.arrives = asyncio.Event()
        self.asked_anew: list[bool] = []
        self.gave_up = False
        self.forgotten: list[str] = []
        self.flows: list[SignInFlow] = []

    async def token(self, flow: SignInFlow, profile: str, on_prompt: OnPrompt, *, anew: bool) -> str:
        self.asked_anew.append(anew)
        self.flows.append(flow)
        on_prompt(PROMPT)
        try:
            await self.arrives.wait()
        except asyncio.CancelledError:
            self.gave_up = True
            raise
        if self.failure is not None:
            raise self.failure
        return "a.b.c"

    async def forget(self, profile: str) -> None:
        self.forgotten.append(profile)


class Scene:
    def __init__(self, folder: Path) -> None:
        self.controller = ScriptedController(peer(), state="Idle")
        self.person = Person()
        self.socket = folder / "helper.sock"
        self.model = AppModel(HelperClient(self.socket), self.person)
        self.seen: list[AppState] = []
        self.model.changed.connect(self.seen.append)

    async def until(self, **wanted: Any) -> AppState:
        await until(lambda: all(getattr(self.model.state, name) == value for name, value in wanted.items()), self.model.changed)
        return self.model.state

    @property
    def doings(self) -> list[Doing | None]:
        """What it was doing, one after the other."""
        found: list[Doing | None] = []
        for state in self.seen:
            if not found or found[-1] != state.doing:
                found.append(state.doing)
        return found


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    """A disconnected machine with a helper, and a model that follows it."""
    found = Scene(folder)
    async with serve(found.controller, found.socket):
        found.model.start()
        await found.until(helper=Helper.ANSWERING)
        yield found
        await found.model.close()


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "ASK_EVERY", 0.02)


def test_connecting_and_disconnecting_show_each_step(folder: Path) -> None:
    async def test() -> None:
        async with scene(folder) as there:
            there.model.connect_()
            assert there.model.state.doing is Doing.CONNECTING
            await there.until(doing=None)
            assert there.model.state.is_up
            there.model.disconnect_()
            await there.until(doing=None)
            assert not there.model.state.is_up
            assert there.doings == [None, Doing.CONNECTING, None, Doing.DISCONNECTING, None]
            assert there.controller.calls == [UpRequest(), "down"]

    in_qt(test)


def test_a_change_by_others_is_shown(folder: Path) -> None:
    async def test() -> None:
        async with scene(folder) as there:
            await until(lambda: there.controller.watchers)
            there.controller.show(status_document(peer(), peer("carol", 3)))
            await until(lambda: there.model.state.is_up, there.model.changed)

    in_qt(test)


def test_a_failure_is_kept_with_its_hint_until_the_next_command(folder: Path) -> None:
    async def test() -> None:
        async with scene(folder) as there:
            there.controller.failure = ServerUnreachable("The server does not answer.")
            there.model.connect_()
            state = await there.until(doing=None)
            assert state.failure is not None
            assert (state.failure.code, state.failure.sentence) == ("server-unreachable", "The server does not answer.")
            assert state.failure.hint == ServerUnreachable.hint
            there.controller.failure = None
            there.model.connect_()
            assert there.model.state.failure is None
            await there.until(doing=None)

    in_qt(test)


def test_connect_can_be_cancelled_and_the_helper_gives_up_too(folder: Path) -> None:
    async def test() -> None:
        async with scene(folder) as there:
            there.controller.hold = asyncio.Event()
            there.model.connect_()
            await there.controller.begun.wait()
            there.model.connect_()  # a second click changes nothing
            there.model.cancel()
            state = await there.until(doing=None)
            assert state.failure is None
            assert there.controller.calls == [UpRequest(), "given up", "down"]

    in_qt(test)


def needs_sign_in(there: Scene) -> None:
    """The server wants a token."""
    plain_up = there.controller.up

    async def up(request: UpRequest, uid: int | None = None) -> None:
        if request.jwt is None:
            there.controller.calls.append(request)
            raise LoginNeeded("This server wants you to sign in.")
        await plain_up(request, uid)

    there.controller.up = up  # type: ignore[method-assign]


def test_connect_signs_in_where_the_server_wants_it(folder: Path) -> None:
    async def test() -> None:
        async with scene(folder) as there:
            needs_sign_in(there)
            there.model.connect_(UpRequest(join_link="covey://vpn.example.org:443/join"))
            await there.until(prompt=PROMPT)
            there.person.arrives.set()
            state = await there.until(doing=None)
            assert state.is_up
            assert state.prompt is None
            assert there.doings == [None, Doing.CONNECTING, Doing.SIGNING_IN, Doing.CONNECTING, None]
            assert there.person.asked_anew == [False]
            place = UpRequest(join_link="covey://vpn.example.org:443/join")
            assert there.controller.calls == [place, ("sign-in-flow", place), replace(place, jwt="a.b.c")]
            assert there.person.flows == [FLOW]

    in_qt(test)


def test_sign_in_can_be_given_up_without_a_word_to_the_helper(folder: Path) -> None:
    async def test() -> None:
        async with scene(folder) as there:
            needs_sign_in(there)
            there.model.connect_()
            await there.until(doing=Doing.SIGNING_IN, prompt=PROMPT)
            there.model.cancel()
            state = there.model.state
            assert (state.doing, state.prompt, state.failure) == (None, None, None)
            await until(lambda: there.person.gave_up)
            assert "down" not in there.controller.calls

    in_qt(test)


def test_a_refused_sign_in_says_why(folder: Path) -> None:
    async def test() -> None:
        async with scene(folder) as there:
            needs_sign_in(there)
            there.person.failure = SignInRefused("The token is for another server.")
            there.person.arrives.set()
            there.model.sign_in()
            state = await there.until(doing=None)
            assert state.failure is not None
            assert state.failure.code == "sign-in-refused"
            assert there.person.asked_anew == [True]

    in_qt(test)


def test_a_setup_key_that_is_refused_does_not_open_a_browser(folder: Path) -> None:
    async def test() -> None:
        async with scene(folder) as there:
            needs_sign_in(there)
            there.model.connect_(UpRequest(setup_key="1D8E7C6B-0000-4000-8000-000000000001"))
            state = await there.until(doing=None)
            assert state.failure is not None
            assert there.person.asked_anew == []

    in_qt(test)


def test_sign_in_again_keeps_a_tunnel_that_is_up(folder: Path) -> None:
    async def test() -> None:
        async with scene(folder) as there:
            needs_sign_in(there)
            await until(lambda: there.controller.watchers)
            there.controller.show(status_document(peer()))
            await until(lambda: there.model.state.is_up, there.model.changed)
            there.person.arrives.set()
            there.model.sign_in()
            await there.until(doing=None)
            assert there.controller.calls == [("sign-in-flow", UpRequest()), ("extend-session", "a.b.c")]
            assert there.model.state.is_up

    in_qt(test)


def test_a_helper_that_goes_and_comes_is_shown_so(folder: Path) -> None:
    async def test() -> None:
        async with scene(folder) as there:
            await there.model.close()
        there = Scene(folder)
        there.model.start()
        state = await there.until(helper=Helper.MISSING)
        assert state.status is None
        assert state.fault is not None
        there.model.connect_()  # nobody is there to do it
        await there.until(doing=None)
        assert there.model.state.failure is not None
        async with serve(there.controller, there.socket):
            await there.until(helper=Helper.ANSWERING)
        await there.until(helper=Helper.MISSING)
        await there.model.close()

    in_qt(test)


def test_signing_out_forgets_what_is_kept(folder: Path) -> None:
    async def test() -> None:
        async with scene(folder) as there:
            there.model.sign_out()
            await there.until(doing=None)
            assert there.controller.calls == ["logout"]
            assert there.person.forgotten == ["default"]

    in_qt(test)


def accounts(state: AppState) -> list[str]:
    return [profile["name"] for profile in state.profiles["profiles"]] if state.profiles else []


def test_accounts_are_added_used_and_removed(folder: Path) -> None:
    async def test() -> None:
        async with scene(folder) as there:
            model = there.model
            await until(lambda: accounts(model.state) == ["default"], model.changed)
            model.add_profile("work")
            model.add_profile("home")
            await until(lambda: accounts(model.state) == ["default", "work", "home"], model.changed)
            model.use_profile("work")
            await there.until(doing=None)
            assert model.state.profiles is not None
            assert model.state.profiles["active"] == "work"
            model.remove_profile("home")
            await until(lambda: accounts(model.state) == ["default", "work"], model.changed)
            await until(lambda: there.person.forgotten == ["home"])
            assert there.controller.calls == [("add", "work"), ("add", "home"), ("use", "work"), ("remove", "home")]

    in_qt(test)


def test_changing_the_account_while_connected_connects_the_other(folder: Path) -> None:
    async def test() -> None:
        async with scene(folder) as there:
            there.controller.accounts.append({"name": "work", "server": "", "email": ""})
            there.model.connect_()
            await there.until(doing=None)
            there.model.use_profile("work")
            await there.until(doing=None)
            assert there.controller.calls == [UpRequest(), ("use", "work"), UpRequest()]

    in_qt(test)


def test_preferences_are_read_and_changed_while_something_else_goes_on(folder: Path) -> None:
    async def test() -> None:
        async with scene(folder) as there:
            there.controller.hold = asyncio.Event()
            there.model.connect_()
            there.model.read_preferences()
            await until(lambda: there.model.state.preferences is not None, there.model.changed)
            wanted: Preferences = {**DEFAULTS, "wireguard_port": 51999, "mtu": 1400, "disable_routes": True}
            there.model.prefer(wanted)
            await until(lambda: there.model.state.preferences == wanted, there.model.changed)
            assert there.model.state.doing is Doing.CONNECTING
            there.controller.hold.set()
            await there.until(doing=None)

    in_qt(test)


def test_what_cannot_be_saved_is_said(folder: Path) -> None:
    async def test() -> None:
        async with scene(folder) as there:
            results: list[Failure | None] = []
            there.model.saved.connect(results.append)
            there.model.remove_profile("nobody")
            await until(lambda: results, there.model.saved)
            assert results[0] is not None
            assert results[0].code == "profile-unknown"
            assert there.model.state.failure is None
            assert there.person.forgotten == []

    in_qt(test)
