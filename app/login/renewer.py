"""Renews sessions as long as it runs: what kept tokens give goes to the helper, and the tunnel stays as it is."""

import asyncio
import logging
import time
from collections.abc import Callable

from app.helper_client import HelperClient
from app.login.person import account_of, silently
from app.login.renewal import Renewal, session_of
from app.login.store import TokenStore
from app.state import readable
from protocol.errors import CoveyError, LoginNeeded, LoginRefused
from protocol.local_api import StatusDocument, UpRequest

log = logging.getLogger(__name__)

LOOK = 60.0  # seconds between two looks at the clock: it jumps when the machine was asleep


class Renewer:
    """Args:
    clock: unix time.
    """

    def __init__(self, client: HelperClient, store: TokenStore, *, clock: Callable[[], float] = time.time) -> None:
        self._client, self._store, self._clock = client, store, clock
        self._renewal = Renewal()
        self._changed = asyncio.Event()

    def on_status(self, status: StatusDocument) -> None:
        """The helper told this; call it with each status."""
        before = self._renewal.due_at
        self._renewal.saw(session_of(status), self._clock())
        if self._renewal.due_at != before:
            self._changed.set()

    async def run(self) -> None:
        """Renew when it is time, until cancelled."""
        while True:
            due, now = self._renewal.due_at, self._clock()
            if due is not None and due <= now:
                await self._renew()
                continue
            self._changed.clear()
            try:
                async with asyncio.timeout(LOOK if due is None else min(LOOK, due - now)):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def _renew(self) -> None:
        session = self._renewal.session
        try:
            is_renewed = await renew(self._client, self._store)
        except (LoginNeeded, LoginRefused) as error:
            log.info("the session is not renewed: %s", error)
            is_renewed = False
        except CoveyError as error:
            log.info("the session is not renewed yet: %s", error)
            self._renewal.failed(session, self._clock())
            return
        if is_renewed:
            self._renewal.renewed(session, self._clock())
        else:
            self._renewal.refused(session)


async def renew(client: HelperClient, store: TokenStore) -> bool:
    """Renew the session of the helper's active profile; False: only the person can.

    Raises what the helper or the provider says; LoginNeeded and LoginRefused are final.
    """
    status = readable(await client.status())
    session = None if status is None else session_of(status)
    if session is None:
        return False
    flow = await client.sign_in_flow()
    tokens = await silently(flow, account_of(client, session.profile), email=session.email, store=store)
    if tokens is None:
        return False
    if session.has_ended:
        await client.up(UpRequest(jwt=tokens.jwt))
    else:
        await client.extend_session(tokens.jwt)
    log.info("the session of %s is renewed", session.email)
    return True
