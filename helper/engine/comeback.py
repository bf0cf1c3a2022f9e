"""Streams to the servers mostly go and come together: one that is lost puts the others in doubt, one that is back brings them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from helper.clients.backoff import Retry, part_of_crowd
from helper.relay.turn_core import KEEPALIVE_AFTER

ENDING = 1.0  # seconds that a server which ends may still answer by UDP when its streams are gone; ours


@dataclass(slots=True)
class _Stream:
    is_up: Callable[[], bool]
    retry: Retry
    was_up: bool = False


class Comeback:
    def __init__(self) -> None:
        self._streams: list[_Stream] = []
        self._others: list[tuple[Callable[[], None], Callable[[], None]]] = []
        self._share = 0.0
        self._doubting: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def join(self, is_up: Callable[[], bool], retry: Retry) -> None:
        """Take in a stream and the pauses of its supervision."""
        self._streams.append(_Stream(is_up, retry))

    def also(self, *, back: Callable[[], None], gone: Callable[[], None]) -> None:
        """Call these too when one is back, or gone: among thousands when most have noticed by themselves, each in its time."""
        self._others.append((back, gone))

    def share_with(self, machines: int) -> None:
        """Say how many come and go with us."""
        self._share = part_of_crowd(machines)
        for stream in self._streams:
            stream.retry.share_with(machines)

    def look(self) -> None:
        """To be called when one of them may have come or gone."""
        now_up = [stream.is_up() for stream in self._streams]
        is_back = any(up and not stream.was_up for up, stream in zip(now_up, self._streams, strict=True))
        is_gone = any(stream.was_up and not up for up, stream in zip(now_up, self._streams, strict=True))
        for up, stream in zip(now_up, self._streams, strict=True):
            stream.was_up = up
            if is_back and not up:
                stream.retry.follow()
        if is_back:
            for back, _ in self._others:
                back()
        elif is_gone and self._doubting is None:
            self._doubting = self._loop.call_later(ENDING + KEEPALIVE_AFTER * self._share, self._doubt)

    def close(self) -> None:
        if self._doubting is not None:
            self._doubting.cancel()

    def _doubt(self) -> None:
        self._doubting = None
        for _, gone in self._others:
            gone()
