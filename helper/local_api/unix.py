"""The local API on a Unix socket. The kernel says who is at the other end."""

import asyncio
import contextlib
import logging
import os
import socket
import stat
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from helper.local_api import caller as kernel
from helper.local_api.controller import Controller
from helper.local_api.gate import Gate
from helper.local_api.permissions import MAX_CONNECTIONS, Caller, Standing, is_trusted
from helper.local_api.service import Service
from protocol.errors import AlreadyRunning, CoveyError, NoPermission, UsageError
from protocol.file_lock import try_lock

assert sys.platform != "win32"

log = logging.getLogger(__name__)

BACKLOG = 128
IDLE_TIMEOUT = 15.0  # seconds that an idle connection is kept
SHUTDOWN_TIMEOUT = 1.0
_LOOKUPS = ThreadPoolExecutor(4, "callers")  # of our own: names of servers that no DNS answers may hold up the loop's
REST = 1.0  # seconds without accepting after it failed


@asynccontextmanager
async def serve(controller: Controller, path: Path) -> AsyncIterator[None]:
    """See `helper.local_api.listener.serve`."""
    service = Service(controller, Gate(controller, _standing_of, kernel.user_at_screen))
    runner = web.AppRunner(
        service.application(),
        access_log=None,
        logger=_http_log(),
        keepalive_timeout=IDLE_TIMEOUT,
        shutdown_timeout=SHUTDOWN_TIMEOUT,
    )
    with listening_socket(path) as listening:
        await runner.setup()
        assert runner.server is not None
        door = _Door(listening, runner.server)
        door.open()
        try:
            yield
        finally:
            await door.close()
            await runner.cleanup()


@contextmanager
def listening_socket(path: Path) -> Iterator[socket.socket]:
    """Make the socket, in the place of one that a crash left behind; remove it at the end.

    A lock on PATH.lock keeps two helpers that start at once from taking it from each other.
    """
    with contextlib.ExitStack() as stack:
        try:
            _make_folder(path.parent)
            _lock(path, stack)
            _remove_stale(path)
            listening = stack.enter_context(socket.socket(socket.AF_UNIX))
            listening.bind(str(path))
            made = path.lstat().st_ino
            path.chmod(0o666)  # who may do what is decided for each call
            listening.listen(BACKLOG)
            listening.setblocking(False)
        except PermissionError as error:
            raise NoPermission(f"The local API's socket can't be made: {error.strerror} ({path}).") from None
        except OSError as error:
            if "too long" in str(error):
                raise UsageError(f"The path of the local API's socket is too long: {path}.", "Give a shorter one.") from None
            raise CoveyError(f"The local API's socket can't be made: {error.strerror or error} ({path}).") from None
        try:
            yield listening
        finally:
            with contextlib.suppress(OSError):
                if path.lstat().st_ino == made:
                    path.unlink()


async def _standing_of(request: web.Request) -> Standing:
    connection = request.transport.get_extra_info("socket") if request.transport else None
    try:
        caller = kernel.caller_of(connection) if connection else None
    except OSError:
        caller = None
    if caller is None:
        return Standing()  # it left
    if is_trusted(caller, os.geteuid(), None):
        return kernel.standing_of(caller)
    return await asyncio.get_running_loop().run_in_executor(_LOOKUPS, kernel.standing_of, caller)


class _Door:
    """Lets connections in, as long as their user has not too many."""

    def __init__(self, listening: socket.socket, server: web.Server) -> None:
        self._listening, self._server = listening, server
        self._loop = asyncio.get_running_loop()
        self._entering: dict[asyncio.Task[None], Caller] = {}
        self._rest: asyncio.TimerHandle | None = None

    def open(self) -> None:
        self._loop.add_reader(self._listening, self._on_readable)

    async def close(self) -> None:
        self._loop.remove_reader(self._listening)
        if self._rest is not None:
            self._rest.cancel()
        if self._entering:
            await asyncio.wait(self._entering)

    def _on_readable(self) -> None:
        try:
            connection, _ = self._listening.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:  # out of file descriptors, say
            log.warning("the local API can't accept a connection: %s", error)
            self._loop.remove_reader(self._listening)
            self._rest = self._loop.call_later(REST, self.open)
            return
        try:
            caller = kernel.caller_of(connection)
        except OSError:
            connection.close()
            return
        if not is_trusted(caller, os.geteuid(), None) and self._count(caller.uid) >= MAX_CONNECTIONS:
            connection.close()
            return
        task = self._loop.create_task(self._enter(connection))
        self._entering[task] = caller
        task.add_done_callback(self._entering.pop)

    async def _enter(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._server, connection)
        except OSError as error:
            log.debug("a connection to the local API failed: %s", error)
            connection.close()

    def _count(self, uid: int) -> int:
        """How many connections the user has."""
        inside = 0
        for connection in self._server.connections:
            other = connection.transport.get_extra_info("socket") if connection.transport else None
            with contextlib.suppress(OSError):  # closed meanwhile
                inside += other is not None and kernel.caller_of(other).uid == uid
        return inside + sum(caller.uid == uid for caller in self._entering.values())


def _make_folder(folder: Path) -> None:
    """Root's is open to all, anybody else's to its owner only. One that exists stays as it is."""
    if not folder.exists():
        mode = 0o755 if os.geteuid() == 0 else 0o700
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(mode)  # whatever the umask is


def _lock(path: Path, stack: contextlib.ExitStack) -> None:
    lock = path.with_name(f"{path.name}.lock")
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    file = stack.enter_context(os.fdopen(descriptor, "r+b"))
    if not try_lock(file):
        raise AlreadyRunning(f"Another helper listens at {path}.")
    stack.callback(lock.unlink, missing_ok=True)  # before it is let go of


def _remove_stale(path: Path) -> None:
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise UsageError(f"{path} is there already, and it is no socket.", "Remove it, or give another --socket.")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except TimeoutError:
            pass  # somebody listens, busy as it is
    raise AlreadyRunning(f"Another helper listens at {path}.")


def _http_log() -> logging.Logger:
    """aiohttp's log for this server, without the tracebacks that damaged requests would leave."""
    logger = log.getChild("http")
    if not logger.filters:
        logger.addFilter(_says_something)
    return logger


def _says_something(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError | web.RequestPayloadError))
