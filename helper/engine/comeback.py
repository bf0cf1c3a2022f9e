"""Whichever stream to the servers is back makes the others try soon: what kept them away is over for them too, mostly."""

from collections.abc import Callable
from dataclasses import dataclass

from helper.clients.backoff import Retry


@dataclass(slots=True)
class _Stream:
    is_up: Callable[[], bool]
    retry: Retry
    was_up: bool = False


class Comeback:
    def __init__(self) -> None:
        self._streams: list[_Stream] = []
        self._others: list[Callable[[], None]] = []

    def join(self, is_up: Callable[[], bool], retry: Retry) -> None:
        """Take in a stream and the pauses of its supervision."""
        self._streams.append(_Stream(is_up, retry))

    def also(self, follow: Callable[[], None]) -> None:
        """Call this too when one is back."""
        self._others.append(follow)

    def share_with(self, machines: int) -> None:
        """Say to all how many come back with us."""
        for stream in self._streams:
            stream.retry.share_with(machines)

    def look(self) -> None:
        """To be called when one of them may have come or gone."""
        now_up = [stream.is_up() for stream in self._streams]
        is_back = any(up and not stream.was_up for up, stream in zip(now_up, self._streams, strict=True))
        for up, stream in zip(now_up, self._streams, strict=True):
            stream.was_up = up
            if is_back and not up:
                stream.retry.follow()
        for follow in self._others if is_back else ():
            follow()
