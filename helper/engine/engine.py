"""What the local API asks of the helper: up, down, logout, status. Keeps one session going while the tunnel is wanted."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from helper.clients.backoff import Backoff
from helper.clients.management import ManagementClient
from helper.clients.system_info import system_meta
from helper.engine.memory import Memory
from helper.engine.network_map import read_address
from helper.engine.plan import AddressChanged, Callbacks, Plan
from helper.engine.session import Session
from helper.engine.status import status_document
from helper.ledger.ledger import Ledger
from helper.ledger.undo import undo_all
from helper.settings import StateFolder
from helper.wireguard.device import Backend
from protocol.errors import (
    CoveyError,
    GivenUp,
    LoginNeeded,
    LoginRefused,
    PortTaken,
    ServerUnreachable,
    TimedOut,
    UsageError,
)
from protocol.generated.management_pb2 import LoginResponse, PeerSystemMeta, SyncResponse
from protocol.join_link import JoinLink, ServerLocation
from protocol.local_api import StatusDocument, UpRequest

log = logging.getLogger(__name__)

UP_TIMEOUT = 30.0  # seconds that `up` waits for management and signal unless asked for otherwise
STABLE_AFTER = 60.0  # seconds that a session must have lived for the pauses between sessions to begin anew


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line fixes. `port` 0: choose one and keep it."""

    interface: str
    backend: Backend = "auto"
    port: int = 0


class Engine:
    """The controller behind the local API."""

    def __init__(self, folder: StateFolder, options: Options) -> None:
        self._options = options
        self._private_key = folder.private_key()
        self._memory = Memory(folder)
        self._ledger = Ledger(folder.path / "ledger.json")
        self._session: Session | None = None
        self._task: asyncio.Task[None] | None = None
        self._going_up: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()
        self._watchers: set[asyncio.Event] = set()
        self._error: CoveyError | None = None  # why there is no session although one is wanted

    # ---- the controller

    async def start(self) -> None:
        """Undo what a crash left behind, and come up again if that was wanted."""
        for sentence in await undo_all(self._ledger):
            log.info("tidied up: %s", sentence)
        if self._memory.settings.wanted and self._memory.settings.server is not None:
            login = self._memory.saved_login()
            if login is not None:
                self._keep_session(self._memory.settings.server, login, None)
            else:
                self._going_up = asyncio.create_task(self._come_up_later())

    async def stop(self) -> None:
        """End, leaving the wish to be up as it is."""
        await self._cancel_up()
        await self._end_session()

    async def up(self, request: UpRequest, uid: int | None = None) -> None:
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
            await self._end_session()
            self._error = None
            self._memory.change(wanted=False)
        self._changed()

    async def logout(self) -> None:
        """Remove this machine from its server, and forget the server."""
        await self._cancel_up()
        async with self._changing:
            server = self._memory.settings.server
            if server is None:
                raise LoginNeeded("this machine is not logged in anywhere")
            client = self._client(server)
            try:
                await client.logout()
            finally:
                await client.close()
            await self._end_session()
            self._memory.forget_server()
            self._error = None
        self._changed()

    def status(self) -> StatusDocument:
        is_up = self._session is not None and self._session.parts is not None
        error = None if is_up else self._error  # while another try goes well, the last one does not matter
        return status_document(self._memory.settings, self._private_key.public, self._session, error, self._memory.folder.notes)

    def owner(self, profile: str | None = None) -> int | None:
        return None

    async def refresh(self) -> None:
        if self._session is not None:
            await self._session.refresh()

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
            hostname = request.hostname or self._memory.settings.hostname
            is_new = server != self._memory.settings.server or hostname != self._memory.settings.hostname
            if self._session is None or self._task is None or self._task.done() or is_new:
                try:
                    await self._begin_session(server, hostname, setup_key)
                except (LoginNeeded, LoginRefused) as error:
                    if self._session is None:
                        self._error = error
                        self._changed()
                    raise
            self._memory.change(server=server, hostname=hostname, wanted=True)
            session, task = self._session, self._task
        assert session is not None
        assert task is not None
        await self._wait_connected(session, task, request.timeout or UP_TIMEOUT)

    async def _begin_session(self, server: ServerLocation, hostname: str | None, setup_key: str | None) -> None:
        """Log in and start a session; one that runs goes on until the login has succeeded."""
        client = ManagementClient(server, self._private_key, lambda: self._meta(hostname))
        try:
            login = await client.login(setup_key)
            read_address(login.peerConfig)
        except ServerUnreachable:
            await client.close()
            saved = self._memory.saved_login() if server == self._memory.settings.server else None
            if saved is None:
                raise
            log.info("the server can't be reached; coming up from what was saved")
            await self._end_session()
            self._keep_session(server, saved, None)
            return
        except ValueError as error:
            await client.close()
            raise ServerUnreachable(str(error)) from None
        except BaseException:
            await client.close()
            raise
        await self._end_session()
        if server != self._memory.settings.server:
            self._memory.folder.forget_map()
        self._memory.save_login(login.SerializeToString())
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
        if self._memory.settings.server is None:
            raise LoginNeeded("this machine has not joined a network yet")
        return self._memory.settings.server, key

    def _known_by_pin(self, server: ServerLocation) -> ServerLocation:
        """A URL of the server whose fingerprint a join link gave us means that server."""
        known = self._memory.settings.server
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
                self._error = None
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
        saved = None if client is not None else self._memory.saved_map()
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
            port=self._options.port or self._memory.port(),
            backend=self._options.backend,
            login=login,
            saved_map=saved_map,
            came_from_disk=client is None,
        )
        callbacks = Callbacks(self._changed, self._memory.save_map_soon, self._memory.save_login)
        self._session = Session(plan, client or self._client(server), self._ledger, callbacks)

    async def _supervise(self, server: ServerLocation) -> None:
        """Run sessions until one ends for good: a lost device or another address only asks for a new one."""
        backoff = Backoff(first=1.0)
        ever_up = moved_before = False

        def may_retry(session: Session) -> bool:
            return ever_up or session.was_up or session.plan.came_from_disk  # nobody waits to read why it did not come up

        while True:
            session = self._session
            assert session is not None
            began = asyncio.get_running_loop().time()
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
                if self._options.port and not may_retry(session):
                    self._give_up(error)
                    return
                log.warning("%s; choosing another", error)
                self._memory.change(wireguard_port=0)
            except CoveyError as error:
                log.warning("the tunnel ended: %s", error)
                self._error = error
                if not may_retry(session):
                    self._give_up(error)
                    return
            except Exception:
                log.exception("the tunnel ended unexpectedly")
                self._error = CoveyError("the tunnel ended unexpectedly")
                if not may_retry(session):
                    self._give_up(self._error)
                    return
            finally:
                await session.close()
            ever_up = ever_up or session.was_up
            if asyncio.get_running_loop().time() - began > STABLE_AFTER:
                backoff.reset()
            self._changed()
            await asyncio.sleep(0 if session.address_changed and not moved_before else backoff.next())
            moved_before = session.address_changed
            self._make_session(server, session.login, None, session.last_response)
            assert self._session is not None
            self._session.connected = session.connected  # whoever waits for `up` waits on

    def _give_up(self, error: CoveyError) -> None:
        self._error, self._session = error, None
        self._changed()

    async def _end_session(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            try:
                if self._session is not None:
                    await self._session.say_goodbye()
            finally:  # also when whoever asked for the end has given up waiting
                task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._session = None
        self._memory.write_map()

    def _client(self, server: ServerLocation) -> ManagementClient:
        return ManagementClient(server, self._private_key, lambda: self._meta(self._memory.settings.hostname))

    def _meta(self, hostname: str | None) -> PeerSystemMeta:
        parts = self._session.parts if self._session else None
        snapshot = parts.network.snapshot if parts else None
        return system_meta(hostname, snapshot.addresses if snapshot else ())

    def _changed(self) -> None:
        for event in self._watchers:
            event.set()
