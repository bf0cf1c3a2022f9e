"""The app's one model: follows the helper, carries out what a person asks for, and tells whoever shows it.

One command at a time: Disconnect ends what is under way, and nothing else begins before it has ended. Every wait on the
helper is bounded, and each command can be cancelled. Accounts and preferences are changed beside it, one change at a time.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

from PySide6.QtCore import QObject, Signal

from app.helper_client import HelperClient
from app.login.prompt import OnPrompt, Prompt
from app.state import AppState, Doing, Failure, Helper, readable
from app.watch import follow
from protocol.errors import CoveyError, LoginNeeded
from protocol.local_api import DEFAULT_PROFILE, Preferences, ProfilesDocument, StatusDocument, UpRequest
from protocol.sign_in import SignInFlow

log = logging.getLogger(__name__)

CLOSE_TIMEOUT = 2.0  # seconds that tasks have to end

Work = Callable[[], Coroutine[Any, Any, object]]


class Person(Protocol):
    """Who signs in; `app.tray.person` is one."""

    async def token(self, flow: SignInFlow, profile: str, on_prompt: OnPrompt, *, anew: bool) -> str:
        """Sign in and return the token for the server; cancelling gives up.

        `anew`: the person asked for it, so what is kept from an earlier time is not used.
        """

    async def forget(self, profile: str) -> None:
        """Forget what is kept of this account."""


class AppModel(QObject):
    """Signals:
    changed: the state is another; the argument is the new AppState.
    ended: a command ended; the arguments are its Doing, and its Failure or None.
    saved: a change of accounts or preferences ended; the argument is its Failure, or None.
    """

    changed = Signal(object)
    ended = Signal(object, object)
    saved = Signal(object)

    def __init__(self, client: HelperClient, person: Person) -> None:
        super().__init__()
        self.state = AppState()
        self._client, self._person = client, person
        self._watchers = 0  # how many look at counters now
        self._command: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None  # of the profiles
        self._saving: asyncio.Task[None] | None = None  # the newest; they follow each other

    @property
    def client(self) -> HelperClient:
        """For what is no state of ours."""
        return self._client

    def start(self) -> None:
        """Begin to follow the helper; the event loop runs."""
        self._following = asyncio.create_task(follow(self._client, self, lambda: self._watchers > 0), name="follow the helper")

    async def close(self) -> None:
        """End everything; what the helper does goes on."""
        tasks = [task for task in (self._command, self._following, self._reading, self._saving) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_TIMEOUT)

    def watch(self, looks: bool) -> None:
        """Somebody begins or ends to look at counters, which are asked for only then."""
        self._watchers += 1 if looks else -1

    # ---- what the helper says

    def on_status(self, status: StatusDocument) -> None:
        former = self.state.status
        self._show(self.state.told(status, time.time()))
        if former is None or any(former[part] != status[part] for part in ("profile", "email", "publicKey")):
            self.read_profiles()

    def on_answered(self) -> None:
        self._show(self.state.answered(time.time()))

    def on_silent(self) -> None:
        self._show(self.state.silenced())

    def on_missing(self, error: CoveyError) -> None:
        self._show(self.state.missed(error))

    def read_profiles(self) -> None:
        """Ask for the accounts; a helper that has none to tell is no failure."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_profiles(), name="read the profiles")

    async def _read_profiles(self) -> None:
        try:
            self._show(replace(self.state, profiles=_profiles(await self._client.profiles())))
        except CoveyError as error:
            log.info("no accounts: %s", error)

    # ---- commands

    def connect_(self, request: UpRequest | None = None) -> None:
        """Come up, with what is new in the request; sign in where the server wants it."""
        self._begin(Doing.CONNECTING, lambda: self._connect(request or UpRequest()))

    def disconnect_(self) -> None:
        """Go down; wins over whatever is under way."""
        self._give_up()
        self._begin(Doing.DISCONNECTING, self._client.down)

    def cancel(self) -> None:
        """Give up what is under way; the helper gives up with us."""
        if self.state.doing is Doing.CONNECTING:
            self.disconnect_()
        else:
            self._give_up()

    def sign_in(self) -> None:
        """Sign in again, even if it were not necessary; a tunnel that is up stays up."""
        self._begin(Doing.SIGNING_IN, lambda: self._sign_in(UpRequest(), anew=True))

    def sign_out(self) -> None:
        """Remove this machine from its server."""
        self._give_up()
        self._begin(Doing.SIGNING_OUT, self._sign_out)

    def use_profile(self, name: str) -> None:
        """Change to another account; connected stays connected."""
        if self.state.status is not None and self.state.status["profile"] == name:
            return
        self._begin(Doing.SWITCHING, lambda: self._use_profile(name))

    def add_profile(self, name: str) -> None:
        self._save(lambda: self._change_profiles(self._client.add_profile(name)))

    def remove_profile(self, name: str) -> None:
        self._save(lambda: self._remove_profile(name))

    def read_preferences(self) -> None:
        self._save(lambda: self._take_preferences(self._client.preferences()))

    def prefer(self, changes: Mapping[str, object]) -> None:
        self._save(lambda: self._take_preferences(self._client.prefer(changes)))

    async def _connect(self, request: UpRequest) -> None:
        try:
            await self._client.up(request)
        except LoginNeeded:
            if request.setup_key is not None:
                raise  # the key was to let it in; another way is for the person to choose
            await self._sign_in(request, anew=False)

    async def _sign_in(self, request: UpRequest, *, anew: bool) -> None:
        was_up = self.state.is_up
        self._show(replace(self.state, doing=Doing.SIGNING_IN))
        flow = await self._client.sign_in_flow(management_url=request.management_url, join_link=request.join_link)
        token = await self._person.token(flow, self._profile, self._on_prompt, anew=anew)
        self._show(replace(self.state, doing=Doing.CONNECTING, prompt=None))
        if was_up and self.state.is_up and request == UpRequest():
            await self._client.extend_session(token)
        else:
            await self._client.up(replace(request, jwt=token))

    async def _sign_out(self) -> None:
        profile = self._profile
        await self._client.logout()
        await self._person.forget(profile)

    async def _remove_profile(self, name: str) -> None:
        await self._change_profiles(self._client.remove_profile(name))
        await self._person.forget(name)

    async def _use_profile(self, name: str) -> None:
        was_up = self.state.is_up
        await self._change_profiles(self._client.use_profile(name))
        if was_up:
            self._show(replace(self.state, doing=Doing.CONNECTING))
            await self._connect(UpRequest())

    async def _change_profiles(self, change: Coroutine[Any, Any, ProfilesDocument]) -> None:
        self._show(replace(self.state, profiles=_profiles(await change)))

    async def _take_preferences(self, change: Coroutine[Any, Any, Preferences]) -> None:
        self._show(replace(self.state, preferences=await change))

    # ---- how

    def _begin(self, doing: Doing, work: Work) -> None:
        if self._command is None:
            self._show(self.state.begun(doing))
            self._command = asyncio.create_task(self._carry_out(doing, work), name=doing.value)

    def _save(self, work: Work) -> None:
        self._saving = asyncio.create_task(self._save_after(self._saving, work), name="save")

    async def _save_after(self, former: asyncio.Task[None] | None, work: Work) -> None:
        if former is not None:
            await asyncio.wait([former])
        failure: Failure | None = None
        try:
            await work()
        except CoveyError as error:
            failure = Failure.of(error)
        self.saved.emit(failure)

    def _give_up(self) -> None:
        command, self._command = self._command, None
        if command is not None:
            command.cancel()
            self._show(self.state.ended())

    async def _carry_out(self, doing: Doing, work: Work) -> None:
        failure: Failure | None = None
        try:
            await work()
            with suppress(CoveyError):  # the watch will tell
                if (status := readable(await self._client.status())) is not None:
                    self.on_status(status)
        except CoveyError as error:
            failure = Failure.of(error)
        except Exception:
            log.exception("%s failed", doing.value)
            failure = Failure("internal", "Covey failed unexpectedly.", CoveyError.hint)
        if asyncio.current_task() is not self._command:
            return  # given up, and something else began
        self._command = None
        self._show(self.state.ended(failure))
        self.ended.emit(doing, failure)

    @property
    def _profile(self) -> str:
        return self.state.status["profile"] if self.state.status is not None else DEFAULT_PROFILE

    def _on_prompt(self, prompt: Prompt) -> None:
        if self._command is not None:
            self._show(replace(self.state, prompt=prompt))

    def _show(self, state: AppState) -> None:
        former, self.state = self.state, state
        if replace(former, heard=state.heard) != state or (state.helper is Helper.SILENT and former.heard != state.heard):
            self.changed.emit(state)


def _profiles(document: Any) -> ProfilesDocument:
    """Raises CoveyError for what is none."""
    match document:
        case {"active": str(active), "profiles": list(profiles)} if all(map(_is_profile, profiles)):
            return {"active": active, "profiles": profiles}
        case _:
            raise CoveyError("What the helper says of the accounts does not fit this app.", "Update Covey.")


def _is_profile(profile: Any) -> bool:
    return isinstance(profile, dict) and all(isinstance(profile.get(part), str) for part in ("name", "server", "email"))
