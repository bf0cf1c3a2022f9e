"""The front door: accepts on the public port and hands each connection to where its first bytes say it belongs.

    accept -> undecided (10 s at most, bounded in number) -> spliced to gRPC or web on a unix socket
                                                          -> handed to TURN
                                                          -> told in one sentence what is wrong, closed

TLS is not ended here: gRPC, web and TURN each do it, with the same certificate.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

from server.front_door.classify import Route
from server.front_door.peek import peek_route
from server.front_door.refusal import PLAIN_ONLY, TLS_ONLY, refuse
from server.front_door.sources import MAX_PER_SOURCE, Sources, source_of
from server.front_door.splice import Splices, keep_alive

log = logging.getLogger(__name__)

FIRST_BYTES_TIMEOUT = 10.0  # seconds to say what is wanted
MAX_UNDECIDED = 1024  # beyond, the one that has waited longest goes
MAX_CONNECTIONS = 20_000
ACCEPT_PAUSE = 0.2  # seconds, when the system is out of descriptors or the like

ServeStream = Callable[[socket.socket, ssl.SSLContext | None], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Backends:
    """Where connections go.

    Attributes:
        grpc, web: unix sockets; they speak TLS if `tls` is given, and plain if it is None.
        tls: for TURN; None on a server started with --plaintext.
        turn: runs one connection to its end; None if TURN is served by another program.
    """

    grpc: Path
    web: Path
    tls: ssl.SSLContext | None
    turn: ServeStream | None


class FrontDoor:
    """Serves public listening sockets.

    As a context manager it ends every connection on the way out. It accepts from `open` to `close`; who comes before waits in
    the sockets' backlog.
    """

    def __init__(
        self,
        listeners: Iterable[socket.socket],
        backends: Backends,
        *,
        first_bytes_timeout: float = FIRST_BYTES_TIMEOUT,
        max_undecided: int = MAX_UNDECIDED,
        max_connections: int = MAX_CONNECTIONS,
        max_per_source: int = MAX_PER_SOURCE,
    ) -> None:
        self._listeners, self._backends = list(listeners), backends
        self._timeout, self._max_undecided, self._max_connections = first_bytes_timeout, max_undecided, max_connections
        self._max_per_source, self._sources = max_per_source, Sources()
        self._splices = Splices(self._sources)
        self._undecided: dict[asyncio.Task[None], None] = {}  # in the order of arrival
        self._tasks: set[asyncio.Task[None]] = set()  # all of ours: accepting, undecided, with TURN
        self._handed_over = 0  # how many TURN or a refusal has
        self._acceptors: list[asyncio.Task[None]] = []
        self._group = asyncio.TaskGroup()

    @property
    def connections(self) -> int:
        """All that are open now: undecided, spliced, with TURN."""
        return len(self._undecided) + len(self._splices) + self._handed_over

    @property
    def undecided(self) -> int:
        return len(self._undecided)

    async def __aenter__(self) -> "FrontDoor":
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()
        for task in list(self._tasks):
            task.cancel()
        self._splices.abort_all()
        await self._group.__aexit__(None, None, None)
        for listener in self._listeners:
            listener.close()

    def open(self) -> None:
        self._acceptors = [self._spawn(self._accept_from(listener)) for listener in self._listeners]

    def close(self) -> None:
        """Accept nobody any more; connections that are there go on."""
        for task in self._acceptors:
            task.cancel()

    def _spawn(self, coroutine: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = self._group.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _accept_from(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        listener.setblocking(False)
        while True:
            try:
                sock, address = await loop.sock_accept(listener)
            except ConnectionError:  # that client went away meanwhile
                continue
            except OSError as error:
                log.error("cannot accept connections: %s", error.strerror)
                await asyncio.sleep(ACCEPT_PAUSE)
                continue
            sock.setblocking(False)
            source = source_of(address)
            if self.connections >= self._max_connections or self._sources[source] >= self._max_per_source:
                sock.close()
                continue
            if len(self._undecided) >= self._max_undecided:
                oldest = next(iter(self._undecided))
                del self._undecided[oldest]
                oldest.cancel()
            task = self._spawn(self._admit(sock, source))
            self._undecided[task] = None
            self._sources.enter(source)
            task.add_done_callback(partial(self._leave, source))

    def _leave(self, source: bytes, _: asyncio.Task[None]) -> None:
        self._sources.leave(source)

    async def _admit(self, sock: socket.socket, source: bytes) -> None:
        """Take one connection to where it belongs. Whatever goes wrong ends this connection and no more."""
        try:
            async with asyncio.timeout(self._timeout):
                route = await peek_route(sock)
        except (OSError, TimeoutError):
            sock.close()
            return
        except BaseException:
            sock.close()
            raise
        finally:
            self._undecided.pop(cast("asyncio.Task[None]", asyncio.current_task()), None)
        try:
            await self._hand_over(route, sock, source)
        except (OSError, TimeoutError) as error:
            log.debug("a connection for %s ended early: %s", route.value, error)
        except Exception:
            log.exception("a connection for %s failed", route.value)

    async def _hand_over(self, route: Route, sock: socket.socket, source: bytes) -> None:
        """Pass the socket on; whoever gets it closes it."""
        backends = self._backends
        is_tls = backends.tls is not None
        match route:
            case Route.TLS_GRPC if is_tls:
                await self._splices.connect(sock, backends.grpc, source)
            case Route.PLAIN_GRPC if not is_tls:
                await self._splices.connect(sock, backends.grpc, source)
            case Route.TLS_WEB if is_tls:
                await self._splices.connect(sock, backends.web, source, ends_when_idle=True, tells_source=True)
            case Route.PLAIN_WEB if not is_tls:
                await self._splices.connect(sock, backends.web, source, ends_when_idle=True, tells_source=True)
            case Route.TLS_TURN if is_tls:
                await self._serve(self._turn(sock, backends.tls))
            case Route.PLAIN_TURN:
                await self._serve(self._turn(sock, None))
            case Route.PLAIN_GRPC | Route.PLAIN_WEB:
                await self._serve(refuse(sock, TLS_ONLY))
            case Route.TLS_GRPC | Route.TLS_WEB | Route.TLS_TURN:
                await self._serve(refuse(sock, PLAIN_ONLY))
            case _:
                sock.close()

    async def _turn(self, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        if self._backends.turn is None:
            sock.close()
        else:
            keep_alive(sock)
            await self._backends.turn(sock, tls)

    async def _serve(self, work: Coroutine[None, None, None]) -> None:
        self._handed_over += 1
        try:
            await work
        finally:
            self._handed_over -= 1
