"""The receiving side of a signal stream, with its watchdog."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Self

import grpc.aio

from helper.clients.failures import losses_told, words_of
from protocol.errors import ServerUnreachable
from protocol.generated.signalexchange_pb2 import Body, EncryptedMessage
from protocol.keys import PublicKey

Opened = tuple[PublicKey, Body]
Call = grpc.aio.StreamStreamCall[EncryptedMessage, EncryptedMessage]


@dataclass(frozen=True, slots=True)
class Watchdog:
    """How long a stream may be silent before we doubt it, and how long our heartbeat may take to come back; in seconds."""

    idle: float = 25.0
    echo: float = 8.0


class Received:
    """What arrives on a stream, opened; an iterator whose waiting may be cancelled without losing a message."""

    def __init__(
        self,
        call: Call,
        server: str,
        watchdog: Watchdog,
        open_frame: Callable[[EncryptedMessage], Opened | None],
        heartbeat: Callable[[], Awaitable[None]],
    ) -> None:
        """
        Args:
            server: its name in errors.
            open_frame: gives None for what is to be passed over.
            heartbeat: makes a frame arrive, if the stream works.
        """
        self._call, self._server, self._watchdog = call, server, watchdog
        self._open_frame, self._heartbeat = open_frame, heartbeat
        self._reading: asyncio.Task[object] | None = None
        self._doubted: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._within = watchdog.echo
        self._heard = asyncio.get_running_loop().time()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Opened:
        while isinstance(frame := await self._frame(), EncryptedMessage):
            if (opened := self._open_frame(frame)) is not None:
                return opened
        raise StopAsyncIteration

    def doubt(self, within: float) -> None:
        """Behave as after a long silence: some frame has to arrive within so many seconds. 0: the stream is surely dead."""
        if not self._doubted.done():
            self._within = within
            self._doubted.set_result(None)

    async def close(self) -> None:
        self._call.cancel()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _frame(self) -> object:
        """The next frame, or `grpc.aio.EOF`."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
        idle = self._heard + self._watchdog.idle - asyncio.get_running_loop().time()
        await asyncio.wait({self._reading, self._doubted}, timeout=max(idle, 0.0), return_when=asyncio.FIRST_COMPLETED)
        if not self._reading.done():
            await self._prove(self._reading, self._within if self._doubted.done() else self._watchdog.echo)
        if self._doubted.done():
            self._doubted = asyncio.get_running_loop().create_future()
        reading, self._reading = self._reading, None
        return await reading

    async def _prove(self, reading: asyncio.Task[object], within: float) -> None:
        if not within:
            raise ServerUnreachable(f"the address that we reached {self._server} from is gone")
        heartbeat = asyncio.ensure_future(self._heartbeat())
        try:
            await asyncio.wait({reading}, timeout=within)
        finally:
            heartbeat.cancel()
            await asyncio.gather(heartbeat, return_exceptions=True)
        if not reading.done():
            raise ServerUnreachable(f"{self._server} is silent: our heartbeat did not come back within {within:.0f} s")

    async def _read(self) -> object:
        try:
            with losses_told(self._server):
                frame: object = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise ServerUnreachable(f"{self._server} ended the stream: {words_of(error)}") from None
        self._heard = asyncio.get_running_loop().time()
        return frame
