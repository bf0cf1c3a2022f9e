"""What the engine keeps of a profile over restarts: settings, login and network map, written without stopping for trouble."""

import asyncio
import contextlib
import logging
import random
import time
from dataclasses import replace
from typing import TypeVar

from google.protobuf.message import DecodeError

from helper.engine.lease import Lease, Message
from helper.engine.network_map import read_address
from helper.engine.saved_sessions import SavedSessions
from helper.saved_map import MapAge, pack, unpack
from helper.settings import ProfileFolder, Settings
from protocol.errors import NotSaved
from protocol.generated.management_pb2 import LoginResponse, SyncResponse
from protocol.join_link import ServerLocation

log = logging.getLogger(__name__)
M = TypeVar("M", LoginResponse, SyncResponse)

PORTS = (49152, 65535)  # a random one of these is ours: two machines behind one NAT should not have the same
SAVE_MAP_AFTER = 1.0  # seconds: maps that come in a burst are written once
DAY = 86400  # seconds


class Memory:
    """A profile's folder as the engine uses it. Raises StateUnreadable.

    Attributes:
        settings: those in force, saved or not.
        lease: until when the person's sign-in lets us in.
        map_age: of the network map in use.
        sessions: ICE sessions, kept for the next start.
    """

    def __init__(self, folder: ProfileFolder) -> None:
        self.folder = folder
        self.private_key = folder.private_key()
        self.settings: Settings = folder.load()
        self.lease, self.map_age = Lease(self.settings.session_ends), MapAge()
        self.sessions = SavedSessions(folder)
        self._unsaved_map: bytes | None = None

    def change(self, **changes: object) -> None:
        """Change settings and save them. Raises NotSaved if that fails; they are in force all the same."""
        self.settings = replace(self.settings, **changes)  # type: ignore[arg-type]
        try:
            if self.settings != self.folder.load():
                self.folder.save(self.settings)
        except OSError as error:
            raise NotSaved(f"the settings can't be saved in {self.folder.path}: {error.strerror}") from None

    def port(self) -> int:
        """The WireGuard port chosen at the first start; one that can't be saved does all the same."""
        if not self.settings.wireguard_port:
            with contextlib.suppress(NotSaved):
                self.change(wireguard_port=random.randint(*PORTS))
        return self.settings.wireguard_port

    def forget_port(self) -> None:
        """Somebody else has taken it: choose another."""
        with contextlib.suppress(NotSaved):
            self.change(wireguard_port=0)

    def hear(self, message: Message) -> None:
        """Take in until when the server lets us in."""
        if self.lease.hear(message, time.time()):
            try:
                self.change(session_ends=self.lease.ends)
            except NotSaved as error:
                log.warning("when the session ends was not saved: %s", error)

    def joins(self, server: ServerLocation) -> None:
        """Forget what belongs to another server, before anything of this one is kept."""
        if server != self.settings.server:
            self.folder.forget_map()
            self.lease, self.map_age = Lease(), MapAge()

    def forget_server(self) -> None:
        self.folder.forget_server()
        self.settings, self.lease, self.map_age = self.folder.load(), Lease(), MapAge()

    def save_login(self, data: bytes) -> None:
        try:
            self.folder.save_login(data)
        except OSError as error:
            log.warning("the login was not saved: %s", error)

    def saved_login(self) -> LoginResponse | None:
        """The last login, if it is of any use."""
        login = _parsed(LoginResponse, self.folder.load_login())
        try:
            if login is not None:
                read_address(login.peerConfig)
        except ValueError as error:
            log.warning("the saved login is not used: %s", error)
            return None
        return login

    def saved_map(self, most_days: int) -> SyncResponse | None:
        """The last map, unless it is older than so many days (0: any age will do); `map_age` then says so."""
        data, vouched = unpack(self.folder.load_map() or b"")
        found = _parsed(SyncResponse, data or None)
        if found is None:
            return None
        now, wall = asyncio.get_running_loop().time(), time.time()
        self.map_age.restore(wall if vouched is None else vouched, now, wall)
        self.map_age.is_refused = bool(most_days) and (self.map_age.age(now, wall) or 0.0) > most_days * DAY
        if self.map_age.is_refused:
            log.warning("the saved network map is older than %d days and not used", most_days)
            return None
        return found

    def save_map_soon(self, data: bytes) -> None:
        """Save it when a burst is over; the first one of all at once, for without it a restart would know no peer."""
        waits, self._unsaved_map = self._unsaved_map is not None, data
        if not self.folder.has_map:
            self.write_map()
        elif not waits:
            asyncio.get_running_loop().call_later(SAVE_MAP_AFTER, self.write_map)

    def write_map(self) -> None:
        """Write the map that waits to be written."""
        data, self._unsaved_map = self._unsaved_map, None
        if data is not None and self.settings.server is not None:
            try:
                self.folder.save_map(pack(data, self.map_age.vouched or time.time()))
            except OSError as error:
                log.warning("the network map was not saved: %s", error)


def _parsed(kind: type[M], data: bytes | None) -> M | None:
    if data is None:
        return None
    try:
        return kind.FromString(data)
    except DecodeError:
        log.warning("the saved %s is damaged and not used", kind.DESCRIPTOR.name)
        return None
