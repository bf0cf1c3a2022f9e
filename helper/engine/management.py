"""The stream to the management server: login, configuration and network maps, with a supervision of its own."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import NoReturn

from helper.clients.backoff import Backoff, Retry
from helper.clients.management import ManagementClient
from helper.engine.link import Link
from helper.engine.network_map import NetworkMap, read_address, read_network_map
from helper.engine.plan import AddressChanged, Callbacks, Plan
from protocol.errors import CoveyError, LoginNeeded, LoginRefused, ServerUnreachable
from protocol.generated.management_pb2 import LoginResponse, NetbirdConfig, SyncResponse

log = logging.getLogger(__name__)

FIRST_PAUSE = 0.8  # seconds at most, between two attempts

VOUCH_EVERY = 900.0  # seconds between notes on disk that the server still stands by the map


class Management:
    """Keeps the stream up, and hands on what it says. A lost one changes nothing about what it said.

    Attributes:
        map: the newest network map; `map_is_saved` while it is one of an earlier time.
        last_response: what it stood in, for the next session.
        address_changed: the server gave us another overlay address.
        retry: the pauses between attempts.

    Args:
        configure: takes up servers for STUN and TURN.
        apply: makes the peers what the map says; called with the map before and the new one.
        on_change: called when `link` or the map changed.
    """

    def __init__(
        self,
        plan: Plan,
        client: ManagementClient,
        callbacks: Callbacks,
        configure: Callable[[NetbirdConfig], None],
        apply: Callable[[NetworkMap | None, NetworkMap], None],
        on_change: Callable[[], None],
    ) -> None:
        self.link = Link("management", callbacks.recorder, url=plan.server.url)
        self.login = plan.login
        self.address = read_address(plan.login.peerConfig)
        self.map: NetworkMap | None = None
        self.map_is_saved = False
        self.last_response: SyncResponse | None = plan.saved_map
        self.address_changed = False
        self._plan, self._client, self._callbacks = plan, client, callbacks
        self._configure, self._apply, self._on_change = configure, apply, on_change
        self._map_is_first = True
        self._vouching: asyncio.TimerHandle | None = None
        self.retry = Retry(Backoff(FIRST_PAUSE))
        self._loop = asyncio.get_running_loop()

    async def run(self) -> None:
        """Runs until cancelled, or raises AddressChanged, LoginNeeded or LoginRefused."""
        logged_in = not self._plan.came_from_disk
        while True:
            try:
                if not logged_in:
                    self._logged_in(await self._client.login(None))
                    logged_in = True
                self._map_is_first = True
                async for response in self._client.sync():
                    if not self.link.is_up:
                        log.info("management connected")
                    self.retry.worked()
                    self.link.set(True, self._loop.time())
                    self._synced(response)
                    self._on_change()
                raise ServerUnreachable("the server ended the stream")
            except (LoginNeeded, LoginRefused):
                if not logged_in:
                    raise
                logged_in = False  # the login decides: it may be that only the stream was refused
                self._vouched_last()
                self.link.set(False, self._loop.time())
                self._on_change()
                await self.retry.pause(0.25)
            except CoveyError as error:
                log.log(logging.INFO if self.link.is_up else logging.DEBUG, "management lost: %s", error)
                self._vouched_last()
                self.link.set(False, self._loop.time(), error)
                self._on_change()
                logged_in = logged_in and isinstance(error, ServerUnreachable)
                await self.retry.pause()

    async def ask_again(self) -> None:
        """Log in once more: the answer says whether we are still let in."""
        self._logged_in(await self._client.login(None))

    async def check(self, within: float) -> None:
        """Prove the stream within so many seconds, after a change of the network; a dead one is opened anew."""
        self.retry.hurry()
        await self._client.check(within)

    def renewed(self, response: LoginResponse) -> None:
        """Take up a login by which the person signed in again; the address must be the same."""
        self._logged_in(response)
        self._on_change()

    def use_saved_map(self, response: SyncResponse) -> None:
        """Begin with a map of an earlier time, if it fits the address that we have."""
        try:
            saved = read_network_map(response.NetworkMap, self._plan.private_key.public)
        except ValueError as error:
            log.warning("the saved network map is of no use: %s", error)
            return
        if saved.address == self.address:
            self.map_is_saved = True
            self._take(saved)

    @property
    def map_age(self) -> float:
        """Seconds since the server last stood by the map: 0 while its stream is up, or before there is a map."""
        is_live = self.map is None or (self.link.is_up and not self.map_is_saved)
        return 0.0 if is_live else self._plan.map_age.age(self._loop.time(), time.time()) or 0.0

    def _vouch(self) -> None:
        """The server stands by the map: save both, and again from time to time, so that a restart knows how old it is."""
        if self.last_response is None or self.map_is_saved:
            return
        self._plan.map_age.vouch(self._loop.time(), time.time())
        self._callbacks.save_map(self.last_response.SerializeToString())
        if self._vouching is not None:
            self._vouching.cancel()
        self._vouching = self._loop.call_later(VOUCH_EVERY, self._vouch)

    def _vouched_last(self) -> None:
        """The stream is lost: up to now the server stood by the map."""
        if self.link.is_up:
            self._vouch()
        if self._vouching is not None:
            self._vouching.cancel()
            self._vouching = None

    async def close(self) -> None:
        """Close the connection."""
        self._vouched_last()
        await self._client.close()

    def _logged_in(self, response: LoginResponse) -> None:
        try:
            address = read_address(response.peerConfig)
        except ValueError as error:
            raise ServerUnreachable(str(error)) from None
        self.login = response
        self._callbacks.heard(response)
        self._callbacks.save_login(response.SerializeToString())
        if address != self.address:
            self._address_changed()
        self._configure(response.netbirdConfig)

    def _address_changed(self) -> NoReturn:
        self.address_changed = True
        raise AddressChanged

    def _synced(self, response: SyncResponse) -> None:
        self._callbacks.heard(response)
        if response.HasField("netbirdConfig"):
            self._configure(response.netbirdConfig)
        if response.HasField("NetworkMap") and response.Version == 0 and response.NetworkMap.HasField("peerConfig"):
            self._use_map(response)

    def _use_map(self, response: SyncResponse) -> None:
        try:
            new = read_network_map(response.NetworkMap, self._plan.private_key.public)
        except ValueError as error:
            log.warning("ignored a network map: %s", error)
            return
        if self.map is not None and not self._map_is_first and new.serial < self.map.serial:
            log.info("ignored a network map older than ours")
            return
        self._map_is_first = False  # a stream begins with the whole map, also one of a server restored from a backup
        self.last_response, self.map_is_saved = response, False
        self._vouch()
        if new.address != self.address:
            self.login.peerConfig.CopyFrom(response.NetworkMap.peerConfig)
            self._address_changed()
        self._take(new)

    def _take(self, new: NetworkMap) -> None:
        before, self.map = self.map, new
        self._apply(before, new)
