"""The person before this screen: signs in silently with what is kept, or in the browser, and stays signed in."""

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from app.helper_client import HelperClient
from app.login.prompt import OnPrompt
from app.login.renewal import session_of
from app.state import AppState
from protocol.sign_in import SignInFlow

if TYPE_CHECKING:
    from app.login.renewer import Renewer


class PersonHere:
    """An `app.model.Person`. What it needs is imported when somebody signs in, or has."""

    def __init__(self, client: HelperClient) -> None:
        self._client = client
        self._renewer: Renewer | None = None
        self._tasks: set[asyncio.Task[object]] = set()

    async def token(self, flow: SignInFlow, profile: str, on_prompt: OnPrompt, *, anew: bool) -> str:
        from app.login import browser, person

        account = person.account_of(self._client, profile)
        tokens = await person.token_for(flow, account, on_prompt=on_prompt, browser=browser.is_there(), anew=anew)
        return tokens.jwt

    async def forget(self, profile: str) -> None:
        from app.login import person

        await person.forget(person.account_of(self._client, profile))

    def open_page(self, url: str) -> None:
        """Open the browser, at pages only."""
        from app.login import browser

        if urlsplit(url).scheme in ("http", "https"):
            self._start(browser.open_browser(url))

    def on_changed(self, state: AppState) -> None:
        """Keep a session from ending, once there is one."""
        if state.status is None:
            return
        if self._renewer is None and session_of(state.status) is not None:
            from app.login.renewer import Renewer
            from app.login.store import user_store

            self._renewer = Renewer(self._client, user_store())
            self._start(self._renewer.run())
        if self._renewer is not None:
            self._renewer.on_status(state.status)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _start(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
