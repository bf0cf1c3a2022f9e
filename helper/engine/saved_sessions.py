"""Keeps the ICE sessions of all peers on disk, and hands them out at the next start. The form: helper/peer/saved_session.py.

They are of use only where the peers were not told that we go: whoever said goodbye forgets them.
"""

import asyncio
import logging
import time
from collections.abc import Mapping

from helper.peer.runner import PeerRunner
from helper.peer.saved_session import SavedSession, pack, unpack
from helper.settings import ProfileFolder
from protocol.keys import PublicKey

log = logging.getLogger(__name__)

SAVE_AFTER = 1.0  # seconds: changes that come in a burst are written once
SAVE_EVERY = 900.0  # seconds after which unchanged ones are written again, as still ours


class SavedSessions:
    """Those of one profile. Without a folder nothing is kept."""

    def __init__(self, folder: ProfileFolder | None = None) -> None:
        self._folder = folder
        self._found: dict[PublicKey, SavedSession] = {}
        self._peers: Mapping[PublicKey, PeerRunner] = {}
        self._written: tuple[dict[PublicKey, SavedSession], float] = {}, 0.0  # and when, on the event loop's clock
        self._timer: asyncio.TimerHandle | None = None
        self._is_open = False

    def begin(self, peers: Mapping[PublicKey, PeerRunner]) -> None:
        """Take up what is there, and from now on save the sessions of these peers, as they come and go."""
        self._peers, self._is_open = peers, True
        if self._folder is not None:
            self._found = self._folder.load_sessions(lambda data: unpack(data, time.time())) or {}
        if self._found:
            log.info("%d peers are tried by their sessions of before the start", len(self._found))

    def take(self, key: PublicKey) -> SavedSession | None:
        """The session with this peer of before the start; each is given once."""
        return self._found.pop(key, None)

    def look(self) -> None:
        """Something may have changed: save it soon."""
        if self._is_open and self._folder is not None and (self._timer is None or self._timer.when() > self._soon):
            self._set_timer(SAVE_AFTER)

    def end(self) -> None:
        """The session of the tunnel is over: write what waits to be written."""
        if self._is_open:
            self._write()
        self._close()

    def forget(self) -> None:
        """The peers were told that we go, so these sessions are over."""
        self._close()
        if self._folder is not None:
            self._folder.forget_sessions()

    @property
    def _soon(self) -> float:
        return asyncio.get_running_loop().time() + SAVE_AFTER

    def _close(self) -> None:
        self._is_open = False
        self._found, self._peers, self._written = {}, {}, ({}, 0.0)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._write()
        self._set_timer(SAVE_EVERY)

    def _write(self) -> None:
        if self._folder is None:
            return
        now = asyncio.get_running_loop().time()
        all_of_them = {key: runner.connection.sessions.saved() for key, runner in self._peers.items()}
        sessions = {key: saved for key, saved in all_of_them.items() if saved is not None}
        before, at = self._written
        if sessions == before and (not sessions or now - at < SAVE_EVERY):
            return
        self._written = sessions, now
        try:
            self._folder.save_sessions(pack(sessions.items(), time.time()))
        except OSError as error:
            log.warning("the ICE sessions were not saved: %s", error)
