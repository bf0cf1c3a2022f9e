"""What the local API asks of the helper: up, down, logout, status. Keeps one session going while the tunnel is wanted."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from google.protobuf.message import DecodeError

from helper.clients.backoff import Backoff
from helper.clients.management import ManagementClient
from helper.clients.system_info import system_meta
from helper.engine.session import AddressChanged, Callbacks, Plan, Session
from helper.engine.status import status_document
from helper.ledger.ledger import Ledger
from helper.ledger.undo import undo_all
from helper.settings import StateFolder
from helper.wireguard.device import Backend
from protocol.errors import CoveyError, GivenUp, LoginNeeded, LoginRefused, PortTaken, ServerUnreachable, TimedOut, UsageError
from protocol.generated.management_pb2 import LoginResponse, PeerSystemMeta, SyncResponse
from protocol.join_link import JoinLink, ServerLocation
from protocol.local_api import StatusDocument, UpRequest

log = logging.getLogger(__name__)
M = TypeVar("M", LoginResponse, SyncResponse)

UP_TIMEOUT = 30.0  # seconds that `up` waits for management and signal unless asked for otherwise
PORTS = (49152, 65535)  # a random one of these is ours: two machines behind one NAT should not have the same
SAVE_MAP_AFTER = 2.0  # seconds: maps that come in a burst are written once


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line fixes. `port` 0: choose one and keep it."""

    interface: str
    backend: Backend = "auto"
    port: int = 0


class Engine:
    """The controller behind the local API."""

    def __init__(self, folder: StateFolder, options: Options) -> None:
        self._folder, self._options = folder, options
        self._private_key = folder.private_key()
        self._settings = folder.load()
        self._ledger = Ledger(folder.path / "ledger.json")
        self._session: Session | None = None
        self._task: asyncio.Task[None] | None = None
        self._going_up: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()
        self._watchers: set[asyncio.Event] = set()
        self._error: CoveyError | None = None  # why there is no session although one is wanted
        self._unsaved_map: bytes | None = None

    # ---- the controller

    async def start(self) -> None:
        """Undo what a crash left behind, and come up again if that was wanted."""
        for sentence in await undo_all(self._ledger):
            log.info("tidied up: %s", sentence)
        if self._settings.wanted and self._settings.server is not None:
            login = self._saved_login()
            if login is not None:
                self._keep_session(self._settings.server, login, None)
            else:
                self._going_up = asyncio.create_task(self._come_up_later())

    async def stop(self) -> None:
        """End, leaving the wish to be up as it is."""
        await self._cancel_up()
        await self._end_session()

    async def up(self, request: UpRequest) -> None:
        """Join or come up; returns when management and signal are up.

        Raises LoginNeeded, LoginRefused and its kinds, ServerUnreachable and the like, TimedOut, or what kept the device
        from coming up.
        """
        await self._cancel_up()
        task = self._going_up = asyncio.create_task(self._up(request))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise GivenUp("`up` was given up because `down` or another `up` came") from None
            task.cancel()
            raise

    async def down(self) -> None:
        """Take the tunnel down and keep it down. Wins over an `up` that is under way."""
        await self._cancel_up()
        async with self._changing:
            self._save(wanted=False)
            await self._end_session()
            self._error = None
        self._changed()

    async def logout(self) -> None:
        """Remove this machine from its server, and forget the server."""
        await self._cancel_up()
        async with self._changing:
            server = self._settings.server
            if server is None:
                raise LoginNeeded("this machine is not logged in anywhere")
            client = self._client(server)
            try:
                await client.logout()
            finally:
                await client.close()
            await self._end_session()
            self._folder.forget_server()
            self._settings, self._error = self._folder.load(), None
        self._changed()

    def status(self) -> StatusDocument:
        return status_document(self._settings, self._private_key.public, self._session, self._error, self._folder.notes)

    @contextlib.contextmanager
    def changes(self) -> Iterator[asyncio.Event]:
        """An event that is set whenever the status may have changed; whoever waits clears it."""
        event = asyncio.Event()
        self._watchers.add(event)
        try:
            yield event
        finally:
            self._watchers.discard(event)

    # ---- up

    async def _up(self, request: UpRequest) -> None:
        async with self._changing:
            server, setup_key = self._target(request)
            hostname = request.hostname or self._settings.hostname
            if self._session is not None and (server != self._settings.server or hostname != self._settings.hostname):
                await self._end_session()
            if self._session is None or self._task is None or self._task.done():
                await self._begin_session(server, hostname, setup_key)
            self._save(server=server, hostname=hostname, wanted=True)
            session, task = self._session, self._task
        assert session is not None
        assert task is not None
        await self._wait_connected(session, task, request.timeout or UP_TIMEOUT)

    async def _begin_session(self, server: ServerLocation, hostname: str | None, setup_key: str | None) -> None:
        self._settings = replace(self._settings, hostname=hostname)
        client = self._client(server)
        try:
            login = await client.login(setup_key)
        except ServerUnreachable:
            await client.close()
            saved = self._saved_login() if server == self._settings.server else None
            if saved is None:
                raise
            log.info("the server can't be reached; coming up from what was saved")
            self._keep_session(server, saved, None)
            return
        except BaseException:
            await client.close()
            raise
        self._folder.save_login(login.SerializeToString())
        self._keep_session(server, login, client)

    def _target(self, request: UpRequest) -> tuple[ServerLocation, str | None]:
        """Which server is meant, and with which setup key."""
        key = request.setup_key
        try:
            if request.join_link is not None:
                link = JoinLink.parse(request.join_link)
                return link.server, key or link.setup_key
            if request.management_url is not None:
                return self._known_by_pin(ServerLocation.from_url(request.management_url)), key
        except ValueError as error:
            raise UsageError(str(error)) from None
        if self._settings.server is None:
            raise LoginNeeded("this machine has not joined a network yet")
        return self._settings.server, key

    def _known_by_pin(self, server: ServerLocation) -> ServerLocation:
        """A URL of the server whose fingerprint a join link gave us means that server."""
        known = self._settings.server
        same = known is not None and server.hosts[0] in known.hosts and (server.port, server.tls) == (known.port, known.tls)
        return known if same and known is not None else server

    async def _wait_connected(self, session: Session, task: asyncio.Task[None], timeout: float) -> None:
        connected = asyncio.ensure_future(session.connected.wait())
        try:
            await asyncio.wait({connected, task}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if not session.connected.is_set():
                if task.done():
                    raise self._error or CoveyError("the tunnel did not come up")
                session = self._session or session
                trouble = session.management.error or session.signalling.link.error
                raise TimedOut(f"not connected within {timeout:g} s" + (f": {trouble}" if trouble else ""))
        finally:
            connected.cancel()

    async def _cancel_up(self) -> None:
        task, self._going_up = self._going_up, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task])

    async def _come_up_later(self) -> None:
        """After a restart without a saved login: try until the server answers."""
        backoff = Backoff()
        while True:
            try:
                await self._up(UpRequest())
                return
            except (LoginNeeded, LoginRefused) as error:
                self._error = error
                self._changed()
                return
            except CoveyError as error:
                self._error = error
                self._changed()
                await asyncio.sleep(backoff.next())

    # ---- the session

    def _keep_session(self, server: ServerLocation, login: LoginResponse, client: ManagementClient | None) -> None:
        """Start a session and its supervision. Without a client it comes up from what was saved."""
        saved = None if client is not None else self._saved_map()
        self._error = None
        self._make_session(server, login, client, saved)
        self._task = asyncio.create_task(self._supervise(server), name="session")

    def _make_session(
        self, server: ServerLocation, login: LoginResponse, client: ManagementClient | None, saved_map: SyncResponse | None
    ) -> None:
        plan = Plan(
            server=server,
            private_key=self._private_key,
            name=self._options.interface,
            port=self._port(),
            backend=self._options.backend,
            login=login,
            saved_map=saved_map,
            came_from_disk=client is None,
        )
        callbacks = Callbacks(self._changed, self._save_map_soon, self._folder.save_login)
        self._session = Session(plan, client or self._client(server), self._ledger, callbacks)

    async def _supervise(self, server: ServerLocation) -> None:
        """Run sessions until one ends for good: a lost device or another address only asks for a new one."""
        backoff = Backoff(first=1.0)
        while True:
            session = self._session
            assert session is not None
            try:
                await session.run()
            except AddressChanged:
                log.info("the server gave us another address; setting up anew")
            except (LoginNeeded, LoginRefused) as error:
                log.warning("the server does not know this machine any more: %s", error)
                self._error, self._session = error, None
                self._changed()
                return
            except PortTaken as error:
                if self._options.port:
                    self._give_up(error)
                    return
                log.warning("%s; choosing another", error)
                self._save(wireguard_port=0)
            except CoveyError as error:
                log.warning("the tunnel ended: %s", error)
                if not session.was_up:
                    self._give_up(error)
                    return
            except Exception:
                log.exception("the tunnel ended unexpectedly")
                if not session.was_up:
                    self._give_up(CoveyError("the tunnel ended unexpectedly"))
                    return
            finally:
                await session.close()
            if session.was_up:
                backoff.reset()
            await asyncio.sleep(0 if session.address_changed else backoff.next())
            self._make_session(server, session.login, None, session.last_response)
            assert self._session is not None
            self._session.connected = session.connected  # whoever waits for `up` waits on

    def _give_up(self, error: CoveyError) -> None:
        self._error, self._session = error, None
        self._changed()

    async def _end_session(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._session = None
        self._write_map()

    def _client(self, server: ServerLocation) -> ManagementClient:
        return ManagementClient(server, self._private_key, self._meta)

    def _meta(self) -> PeerSystemMeta:
        parts = self._session.parts if self._session else None
        snapshot = parts.network.snapshot if parts else None
        return system_meta(self._settings.hostname, snapshot.addresses if snapshot else ())

    def _port(self) -> int:
        """The port given, else the one chosen at the first start."""
        if self._options.port:
            return self._options.port
        if not self._settings.wireguard_port:
            self._save(wireguard_port=random.randint(*PORTS))
        return self._settings.wireguard_port

    # ---- what is kept

    def _save(self, **changes: object) -> None:
        changed = replace(self._settings, **changes)  # type: ignore[arg-type]
        if changed != self._folder.load():
            self._folder.save(changed)
        self._settings = changed

    def _saved_login(self) -> LoginResponse | None:
        return _parsed(LoginResponse, self._folder.load_login())

    def _saved_map(self) -> SyncResponse | None:
        return _parsed(SyncResponse, self._folder.load_map())

    def _save_map_soon(self, data: bytes) -> None:
        if self._unsaved_map is None:
            asyncio.get_running_loop().call_later(SAVE_MAP_AFTER, self._write_map)
        self._unsaved_map = data

    def _write_map(self) -> None:
        data, self._unsaved_map = self._unsaved_map, None
        if data is not None and self._settings.server is not None:
            try:
                self._folder.save_map(data)
            except OSError as error:
                log.warning("the network map was not saved: %s", error)

    def _changed(self) -> None:
        for event in self._watchers:
            event.set()


def _parsed(kind: type[M], data: bytes | None) -> M | None:
    if data is None:
        return None
    try:
        return kind.FromString(data)
    except DecodeError:
        log.warning("the saved %s is damaged and not used", kind.DESCRIPTOR.name)
        return None
