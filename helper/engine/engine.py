"""What the local API asks of the helper: up, down, logout, sign in, status, accounts and preferences."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

from helper.clients.backoff import Backoff
from helper.clients.management import ManagementClient
from helper.diagnose.bundle import Contents, make_bundle
from helper.diagnose.doctor import DoctorDocument
from helper.diagnose.patient import Patient
from helper.engine.examination import Examination, patient_of
from helper.engine.joining import target, whose
from helper.engine.memory import Memory
from helper.engine.network_map import read_address
from helper.engine.status import Epoch, iso, status_document
from helper.engine.supervisor import Options, Supervisor
from helper.http_proxy.way import WAY_OUT
from helper.ledger.ledger import Ledger
from helper.ledger.undo import undo_all
from helper.netmon.wakefulness import FellAsleep, Sign, sentence_of
from helper.preferences import PreferencesFile
from helper.profiles import Profiles
from helper.recorder import Recorder
from helper.settings import Settings, StateFolder
from protocol.errors import CoveyError, GivenUp, LoginNeeded, LoginRefused, ProfileUnknown, ServerUnreachable
from protocol.generated.management_pb2 import LoginResponse
from protocol.join_link import ServerLocation
from protocol.local_api import Preferences, Profile, ProfilesDocument, StatusDocument, UpRequest
from protocol.sign_in import SignInFlow

__all__ = ["Engine", "Options"]

log = logging.getLogger(__name__)

UP_TIMEOUT = 30.0  # seconds that `up` waits for management and signal unless asked for otherwise


class Engine:
    """The controller behind the local API."""

    def __init__(self, folder: StateFolder, options: Options) -> None:
        self._options, self._notes, self._path = options, folder.notes, folder.path
        self._profiles = Profiles(folder)
        self._preferences = PreferencesFile(folder)
        WAY_OUT.prefer(self._preferences.proxy)
        self._memory = Memory(self._profiles.folder(self._profiles.active))
        self._ledger = Ledger(folder.path / "ledger.json")
        self._epoch = Epoch()
        self.recorder = Recorder(owner=lambda: self._memory.settings.owner)
        self._supervisor = Supervisor(options, self._ledger, self.preferences, self.recorder, self._changed)
        self._examination = Examination(self._patient)
        self._going_up: asyncio.Task[None] | None = None
        self._changing = asyncio.Lock()
        self._watchers: set[asyncio.Event] = set()

    # ---- the tunnel

    async def start(self) -> None:
        """Undo what a crash left behind, and come up again if that was wanted."""
        for sentence in await undo_all(self._ledger):
            log.info("tidied up: %s", sentence)
            self.recorder.note("helper", f"Undone after a crash: {sentence}.")
        self._come_up()

    async def stop(self) -> None:
        """End, leaving the wish to be up as it is."""
        await self._cancel_up()
        await self._end_session()

    async def up(self, request: UpRequest, uid: int | None = None) -> None:
        """Join or come up; returns when management and signal are up.

        Raises LoginNeeded, LoginRefused and its kinds, ServerUnreachable and the like, TimedOut, or what kept the device
        from coming up.
        """
        memory = self._memory
        self.recorder.note("session", "Somebody asked to connect.", user=uid)
        await self._cancel_up()
        task = self._going_up = asyncio.create_task(self._up(memory, request, uid))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise GivenUp("`up` was given up because `down` or another `up` came") from None
            task.cancel()
            raise

    async def down(self) -> None:
        """Take the tunnel down and keep it down. Wins over an `up` that is under way."""
        memory = self._memory
        self.recorder.note("session", "Somebody asked to disconnect.")
        await self._cancel_up()
        async with self._changing_of(memory):
            await self._end_session()
            self._supervisor.error = None
            memory.change(wanted=False)
        self._changed()

    async def logout(self) -> None:
        """Remove this machine from its server, and forget the server."""
        memory = self._memory
        self.recorder.note("session", "Somebody asked to leave the network.")
        await self._cancel_up()
        async with self._changing_of(memory):
            async with self._client(memory, self._server_of(memory)) as client:
                await client.logout()
            await self._end_session()
            memory.forget_server()
            self._supervisor.error = None
        self._changed()

    async def sign_in_flow(self, place: UpRequest) -> SignInFlow:
        """Where to sign in. Raises LoginNeeded if no server is known, SignInNotOffered, ServerUnreachable and the like."""
        server, _ = target(place, self._memory.settings.server)
        async with self._client(self._memory, server) as client:
            return await client.sign_in_flow()

    async def extend_session(self, jwt: str) -> str:
        """Renew the session while the tunnel stays up, or revive it; returns when it ends now."""
        memory = self._memory
        async with self._client(memory, self._server_of(memory)) as client:
            if memory.lease.ends is None:  # servers extend only what has an end
                memory.hear(await client.sign_in(jwt))
            else:
                memory.hear(await client.extend_session(jwt))
        is_ended = memory is self._memory and memory.settings.wanted and not self._supervisor.is_running
        if is_ended and (self._going_up is None or self._going_up.done()):
            self._going_up = asyncio.create_task(self._come_up_later(memory))
        self._changed()
        return iso(memory.lease.ends or 0)

    def felt(self, sign: Sign) -> None:
        """The machine goes to sleep or woke up, or this program was held up."""
        log.info("%s", sentence_of(sign))
        self.recorder.note("sleep", sentence_of(sign))
        if not isinstance(sign, FellAsleep):
            self._supervisor.woke(sign)
            self._changed()

    # ---- what is

    def status(self) -> StatusDocument:
        memory, supervisor = self._memory, self._supervisor
        is_up = supervisor.session is not None and supervisor.session.parts is not None
        error = None if is_up else supervisor.error  # while another try goes well, the last one does not matter
        notes, port = list(self._notes), self._preferences.kept["wireguard_port"]
        if self._options.port and port not in (0, self._options.port):
            notes.append(
                f"The WireGuard port is {self._options.port}, as the helper was started with; the one preferred is {port}."
            )
        name = self._profiles.active_name
        own = memory.private_key.public
        return status_document(memory.settings, own, supervisor.session, error, notes, name, self._epoch)

    async def doctor(self) -> DoctorDocument:
        return await self._examination.result()

    def _patient(self) -> Patient:
        session, port = self._supervisor.session, self.preferences()["wireguard_port"]
        return patient_of(self.status(), self._memory, session, self._options.interface, port)

    async def bundle(self, *, include_names: bool) -> bytes:
        """A report for whoever helps, as a ZIP file."""
        doctor = await self.doctor()
        documents = {"status.json": self.status(), "preferences.json": self.preferences(), "doctor.json": doctor}
        return await make_bundle(self._path, Contents(documents, events=self.recorder.events()), include_names=include_names)

    async def refresh(self) -> None:
        if self._supervisor.session is not None:
            await self._supervisor.session.refresh()

    @contextlib.contextmanager
    def changes(self) -> Iterator[asyncio.Event]:
        """An event that is set whenever the status may have changed; whoever waits clears it."""
        event = asyncio.Event()
        self._watchers.add(event)
        try:
            yield event
        finally:
            self._watchers.discard(event)

    # ---- profiles and preferences

    def owner(self, profile: str | None = None) -> int | None:
        """The user of this machine who signed in this profile, or the active one. Raises ProfileUnknown."""
        return self._settings_of(self._profiles.active if profile is None else self._profiles.find(profile)).owner

    def profiles(self) -> ProfilesDocument:
        return {"active": self._profiles.active_name, "profiles": [self._profile(one) for one in self._profiles.names]}

    def add_profile(self, name: str) -> None:
        self._profiles.add(name)

    async def use_profile(self, name: str) -> None:
        """Change to this profile, whose tunnel comes up if that of the former was wanted."""
        await self._cancel_up()
        async with self._changing:
            profile = self._profiles.find(name)
            if profile == self._profiles.active:
                return
            memory = Memory(self._profiles.folder(profile))
            wanted = self._memory.settings.wanted
            await self._end_session()
            try:
                if profile not in self._profiles.names:
                    raise ProfileUnknown(f"The account {name!r} was removed meanwhile.")
                memory.change(wanted=wanted)
                self._profiles.activate(profile)
                self._memory, self._supervisor.error = memory, None
            finally:
                self._come_up()
        self._changed()

    def remove_profile(self, name: str) -> None:
        self._profiles.remove(self._profiles.find(name))

    def preferences(self) -> Preferences:
        """Those in force from the next `up`: the command line's port comes before the one that was preferred."""
        kept = self._preferences.kept
        return {**kept, "wireguard_port": self._options.port or kept["wireguard_port"]}

    def prefer(self, changes: Mapping[str, Any]) -> None:
        if isinstance(changes, dict) and self._options.port and changes.get("wireguard_port") == self._options.port:
            changes = {name: value for name, value in changes.items() if name != "wireguard_port"}  # as it is anyway
        self._preferences.change(changes)
        WAY_OUT.prefer(self._preferences.proxy)
        self._changed()

    def _settings_of(self, profile: str) -> Settings:
        return self._memory.settings if profile == self._profiles.active else self._profiles.folder(profile).load()

    def _profile(self, profile: str) -> Profile:
        settings = self._settings_of(profile)
        server = settings.server.url if settings.server else ""
        return {"name": self._profiles.names[profile], "server": server, "email": settings.email}

    # ---- how

    async def _up(self, memory: Memory, request: UpRequest, uid: int | None) -> None:
        async with self._changing_of(memory):
            server, setup_key = target(request, memory.settings.server)
            hostname = request.hostname or memory.settings.hostname
            before = memory.settings
            used_setup_key = used_token = False
            if not self._goes_on(memory, server, hostname) or request.jwt is not None:
                try:
                    used_setup_key, used_token = await self._begin_session(memory, server, hostname, setup_key, request.jwt)
                except (LoginNeeded, LoginRefused) as error:
                    if self._supervisor.session is None:
                        self._supervisor.give_up(error)
                    raise
            owner, email = whose(before, server, jwt=request.jwt, uid=uid, used_setup_key=used_setup_key, used_token=used_token)
            memory.change(server=server, hostname=hostname, wanted=True, owner=owner, email=email, session_ends=memory.lease.ends)
            self._changed()
        await self._supervisor.wait_connected(request.timeout or UP_TIMEOUT)

    def _goes_on(self, memory: Memory, server: ServerLocation, hostname: str | None) -> bool:
        """Say whether the session that runs is the one that is wanted."""
        session = self._supervisor.session if self._supervisor.is_running else None
        if session is None or (server, hostname) != (memory.settings.server, memory.settings.hostname):
            return False
        return session.plan.preferences == self.preferences()

    async def _begin_session(
        self, memory: Memory, server: ServerLocation, hostname: str | None, setup_key: str | None, jwt: str | None
    ) -> tuple[bool, bool]:
        """Log in and start a session; one that runs goes on until the login has succeeded, and after it where nothing changed.

        Returns whether the setup key was needed, and whether the token is known to have counted.
        """
        client = self._supervisor.client(memory, server, hostname)
        try:
            login = await (client.sign_in(jwt) if jwt is not None else client.login(setup_key))
            address = read_address(login.peerConfig)
        except ServerUnreachable:
            await client.close()
            saved = memory.saved_login() if server == memory.settings.server and jwt is None else None
            if saved is None:
                raise
            log.info("the server can't be reached; coming up from what was saved")
            await self._end_session()
            self._supervisor.keep(memory, server, saved, None)
            return False, False
        except ValueError as error:
            await client.close()
            raise ServerUnreachable(str(error)) from None
        except BaseException:
            await client.close()
            raise
        session = self._supervisor.session
        if self._goes_on(memory, server, hostname) and session and session.parts and session.management.address == address:
            await client.close()
            session.management.renewed(login)
            return False, client.used_token
        await self._end_session()
        self._keep(memory, server, login, client)
        return client.used_setup_key, client.used_token

    def _keep(self, memory: Memory, server: ServerLocation, login: LoginResponse, client: ManagementClient) -> None:
        memory.joins(server)
        memory.hear(login)
        memory.save_login(login.SerializeToString())
        self._supervisor.keep(memory, server, login, client)

    def _come_up(self) -> None:
        """Come up again in the background if that is wanted, at once from what was saved."""
        memory = self._memory
        if self._supervisor.is_running or not memory.settings.wanted or memory.settings.server is None:
            return
        login = memory.saved_login()
        if login is not None:
            self._supervisor.keep(memory, memory.settings.server, login, None)
        else:
            self._going_up = asyncio.create_task(self._come_up_later(memory))

    async def _come_up_later(self, memory: Memory) -> None:
        """Without a saved login: try until the server answers."""
        backoff = Backoff()
        while True:
            try:
                await self._up(memory, UpRequest(), None)
                return
            except GivenUp:
                return
            except (LoginNeeded, LoginRefused) as error:
                self._supervisor.error = error
                self._changed()
                return
            except CoveyError as error:
                self._supervisor.error = error
                self._changed()
                await asyncio.sleep(backoff.next())

    async def _cancel_up(self) -> None:
        task, self._going_up = self._going_up, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task])

    async def _end_session(self) -> None:
        await self._supervisor.end()
        self._memory.write_map()

    @contextlib.asynccontextmanager
    async def _changing_of(self, memory: Memory) -> AsyncIterator[None]:
        """Let nothing else change meanwhile. Raises GivenUp if it is no more about the active profile."""
        async with self._changing:
            if memory is not self._memory:
                raise GivenUp("another account became the active one meanwhile")
            yield

    @contextlib.asynccontextmanager
    async def _client(self, memory: Memory, server: ServerLocation) -> AsyncIterator[ManagementClient]:
        client = self._supervisor.client(memory, server, memory.settings.hostname)
        try:
            yield client
        finally:
            await client.close()

    @staticmethod
    def _server_of(memory: Memory) -> ServerLocation:
        if memory.settings.server is None:
            raise LoginNeeded("this machine is not logged in anywhere")
        return memory.settings.server

    def _changed(self) -> None:
        for event in self._watchers:
            event.set()
