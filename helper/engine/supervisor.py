"""Keeps one session going while the tunnel is wanted: a lost device or another address only asks for a new one."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from helper.clients.backoff import Backoff, Retry
from helper.clients.management import ManagementClient
from helper.clients.system_info import system_meta
from helper.engine.memory import Memory
from helper.engine.plan import AddressChanged, Callbacks, Plan
from helper.engine.session import Session
from helper.ledger.ledger import Ledger
from helper.netmon.wakefulness import HeldUp, Woke
from helper.recorder import Recorder
from helper.wireguard.device import Backend
from protocol.errors import CoveyError, LoginNeeded, LoginRefused, PortTaken, TimedOut
from protocol.generated.management_pb2 import LoginResponse, PeerSystemMeta, SyncResponse
from protocol.join_link import ServerLocation
from protocol.local_api import Preferences

log = logging.getLogger(__name__)

STABLE_AFTER = 60.0  # seconds that a session must have lived for the pauses between sessions to begin anew


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line fixes. `port` 0: choose one and keep it."""

    interface: str
    backend: Backend = "auto"
    port: int = 0


class Supervisor:
    """Attributes:
    session: the one of now, None if there is none.
    error: why there is no session although one is wanted, or why the last one ended.
    """

    def __init__(
        self,
        options: Options,
        ledger: Ledger,
        preferences: Callable[[], Preferences],
        recorder: Recorder,
        on_change: Callable[[], None],
    ) -> None:
        """`preferences` gives those in force, before each session."""
        self._options, self._ledger, self._preferences, self._on_change = options, ledger, preferences, on_change
        self.recorder = recorder
        self.session: Session | None = None
        self.task: asyncio.Task[None] | None = None
        self.error: CoveyError | None = None
        self._retry: Retry | None = None
        self._displaced = ""  # who took WireGuard's former port

    @property
    def is_running(self) -> bool:
        return self.session is not None and self.task is not None and not self.task.done()

    def client(self, memory: Memory, server: ServerLocation, hostname: str | None) -> ManagementClient:
        """A client that tells the server of this machine as it is now."""
        preferences = self._preferences()

        def meta() -> PeerSystemMeta:
            parts = self.session.parts if self.session else None
            snapshot = parts.network.snapshot if parts else None
            return system_meta(hostname, snapshot.addresses if snapshot else (), preferences)

        return ManagementClient(server, memory.private_key, meta)

    def keep(self, memory: Memory, server: ServerLocation, login: LoginResponse, client: ManagementClient | None) -> None:
        """Start a session and its supervision. Without a client it comes up from what was saved."""
        saved = None if client is not None else memory.saved_map(self._preferences()["saved_map_days"])
        self.error, self._displaced = None, ""
        self._make(memory, server, login, client, saved)
        self.task = asyncio.create_task(self._supervise(memory, server), name="session")

    async def end(self) -> None:
        task, self.task = self.task, None
        if task is not None:
            try:
                if self.session is not None:
                    await self.session.say_goodbye()
            finally:  # also when whoever asked for the end has given up waiting
                task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self.session = None

    async def wait_connected(self, timeout: float) -> None:
        """Raises TimedOut, or what ended the session for good."""
        session, task = self.session, self.task
        assert session is not None
        assert task is not None
        connected = asyncio.ensure_future(session.connected.wait())
        try:
            await asyncio.wait({connected, task}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if not session.connected.is_set():
                if task.done():
                    raise self.error or CoveyError("the tunnel did not come up")
                session = self.session or session
                trouble = session.management.link.error or session.signalling.link.error
                raise TimedOut(f"not connected within {timeout:g} s" + (f": {trouble}" if trouble else ""))
        finally:
            connected.cancel()

    def woke(self, sign: Woke | HeldUp) -> None:
        """The machine slept, or this program was held up: nobody waits on, and what was known is found out anew."""
        if self._retry is not None:
            self._retry.hurry()
        if self.session is not None:
            self.session.woke(sign)

    def give_up(self, error: CoveyError) -> None:
        """There is no session any more, for this reason."""
        self.error, self.session = error, None
        self.recorder.note("session", f"The tunnel stays down: {error}.", error=error.code)
        self._on_change()

    def _make(
        self,
        memory: Memory,
        server: ServerLocation,
        login: LoginResponse,
        client: ManagementClient | None,
        saved_map: SyncResponse | None,
    ) -> None:
        preferences = self._preferences()
        plan = Plan(
            server=server,
            private_key=memory.private_key,
            name=self._options.interface,
            port=preferences["wireguard_port"] or memory.port(),
            backend=self._options.backend,
            login=login,
            saved_map=saved_map,
            came_from_disk=client is None,
            preferences=preferences,
            lease=memory.lease,
            map_age=memory.map_age,
            sessions=memory.sessions,
            displaced=self._displaced,
        )
        callbacks = Callbacks(self._on_change, memory.save_map_soon, memory.save_login, memory.hear, self.recorder)
        self.session = Session(plan, client or self.client(memory, server, memory.settings.hostname), self._ledger, callbacks)

    async def _supervise(self, memory: Memory, server: ServerLocation) -> None:
        """Run sessions until one ends for good."""
        retry = self._retry = Retry(Backoff(first=1.0))
        ever_up = moved_before = False

        def may_retry(session: Session) -> bool:
            return ever_up or session.was_up or session.plan.came_from_disk  # nobody waits to read why it did not come up

        while True:
            session = self.session
            assert session is not None
            began = asyncio.get_running_loop().time()
            try:
                await session.run()
            except AddressChanged:
                log.info("the server gave us another address; setting up anew")
                self.recorder.note("session", "The server gave this machine another address; the tunnel is set up anew.")
            except (LoginNeeded, LoginRefused) as error:
                log.warning("the server lets this machine in no more: %s", error)
                self.give_up(error)
                return
            except PortTaken as error:
                is_fixed = bool(session.plan.preferences["wireguard_port"])
                if is_fixed and not may_retry(session):
                    self.give_up(error)
                    return
                log.warning("%s; %s", error, "trying it again" if is_fixed else "choosing another")
                self.error = error
                if not is_fixed:
                    memory.forget_port()
                    self._displaced = str(error)
            except CoveyError as error:
                log.warning("the tunnel ended: %s", error)
                self.recorder.note("session", f"The tunnel ended: {error}.", error=error.code)
                self.error = error
                if not may_retry(session):
                    self.give_up(error)
                    return
            except Exception:
                log.exception("the tunnel ended unexpectedly")
                self.recorder.note("session", "The tunnel ended unexpectedly; the helper's log says where.")
                self.error = CoveyError("the tunnel ended unexpectedly")
                if not may_retry(session):
                    self.give_up(self.error)
                    return
            finally:
                await session.close()
            ever_up = ever_up or session.was_up
            if asyncio.get_running_loop().time() - began > STABLE_AFTER:
                retry.backoff.reset()
            self._on_change()
            if not session.management.address_changed or moved_before:
                await retry.pause()
            moved_before = session.management.address_changed
            self._make(memory, server, session.management.login, None, session.management.last_response)
            assert self.session is not None
            self.session.connected = session.connected  # whoever waits for `up` waits on
