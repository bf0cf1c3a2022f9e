"""The flight recorder: what happened to this machine's tunnel, so that it can be told afterwards. Pure but for the clock.

A ring, bounded in number and size. What repeats within a minute is one event with a count, so that a flapping line does not
push the night out of it. helper/journal/ keeps it on disk and hands it out.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

Detail = str | int | float | bool | None

KINDS = frozenset(
    (
        "helper",
        "network",
        "sleep",
        "server",
        "relay",
        "peer",
        "path",
        "candidates",
        "mtu",
        "mapping",
        "repair",
        "warning",
        "session",
    )
)
EVENTS = 4000  # that are kept
SIZE = 1_000_000  # characters that they may have together
FOLD = 60.0  # seconds after an event in which the same again only counts
FOLDING = 256  # events that may be folded at a time
LONGEST = 1000  # characters of a sentence, a name or a detail


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """Attributes:
    time: in seconds since 1970, by the wall clock.
    kind: helper, network, sleep, server, relay, peer, path, candidates, mtu, mapping, repair, warning or session.
    peer: the name of the peer it is about; empty for none.
    count: how often it happened, until `until`.
    owner: number of the user whose account was the active one; None if that is nobody's.
    """

    sequence: int
    time: float
    kind: str
    sentence: str
    peer: str = ""
    details: Mapping[str, Detail] = field(default_factory=dict)
    count: int = 1
    until: float = 0.0
    owner: int | None = None

    @property
    def size(self) -> int:
        """About how many characters it takes."""
        return (
            120 + len(self.sentence) + len(self.peer) + sum(len(name) + len(str(value)) for name, value in self.details.items())
        )


class Recorder:
    """Keeps the last events. Never tell it a secret.

    Args:
        clock: seconds since 1970.
        owner: asked at each event: whose account is the active one.
    """

    def __init__(self, clock: Callable[[], float] = time.time, owner: Callable[[], int | None] = lambda: None) -> None:
        self._clock, self._owner = clock, owner
        self._events: deque[RecordedEvent] = deque()
        self._size = 0
        self._sequence = 0
        self._folding: OrderedDict[tuple[str, str, str], RecordedEvent] = OrderedDict()  # the newest version of each
        self._watchers: set[Callable[[RecordedEvent], None]] = set()

    @property
    def last(self) -> int:
        """The sequence number of the newest event; 0 before the first."""
        return self._sequence

    def note(self, kind: str, sentence: str, *, peer: str = "", **details: Detail) -> None:
        now = self._clock()
        self._close_folds(now)
        key = kind, peer[:LONGEST], sentence[:LONGEST]
        kept = {name: value[:LONGEST] if isinstance(value, str) else value for name, value in details.items()}
        known = self._folding.get(key)
        if known is not None:
            event = replace(known, count=known.count + 1, until=now, details=kept)
            self._folding[key] = event
        else:
            self._sequence += 1
            event = RecordedEvent(self._sequence, now, kind, key[2], key[1], kept, until=now, owner=self._owner())
            self._append(event)
            self._folding[key] = event
            if len(self._folding) > FOLDING:
                self._end_fold(next(iter(self._folding)))
        for tell in tuple(self._watchers):
            tell(event)

    def events(self, after: int = 0) -> list[RecordedEvent]:
        """Those with a higher sequence number, oldest first."""
        newest = {event.sequence: event for event in self._folding.values()}
        found = []
        for event in reversed(self._events):
            if event.sequence <= after:
                break
            found.append(newest.get(event.sequence, event))
        return found[::-1]

    def restore(self, events: list[RecordedEvent], first: int) -> None:
        """Put events of an earlier run in front, oldest first; new ones are numbered from `first` on, or higher."""
        for event in events:
            if event.sequence > self._sequence:
                self._sequence = event.sequence
                self._append(event)
        self._sequence = max(self._sequence, first - 1)

    @contextmanager
    def telling(self, tell: Callable[[RecordedEvent], None]) -> Iterator[None]:
        """Call `tell` with each event, and again with the same sequence number when it repeats."""
        self._watchers.add(tell)
        try:
            yield
        finally:
            self._watchers.discard(tell)

    def _append(self, event: RecordedEvent) -> None:
        self._events.append(event)
        self._size += event.size
        while len(self._events) > EVENTS or (self._size > SIZE and len(self._events) > 1):
            self._size -= self._events.popleft().size

    def _close_folds(self, now: float) -> None:
        """End those whose minute is over, also where the clock was set back."""
        while self._folding:
            key, oldest = next(iter(self._folding.items()))
            if 0 <= now - oldest.time < FOLD:
                return
            self._end_fold(key)

    def _end_fold(self, key: tuple[str, str, str]) -> None:
        """Put the last version where the first one is."""
        event = self._folding.pop(key)
        if event.count == 1 or not self._events or event.sequence < self._events[0].sequence:
            return
        low, high = 0, len(self._events) - 1
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self._events[middle].sequence < event.sequence else (low, middle)
        if self._events[low].sequence == event.sequence:
            self._size += event.size - self._events[low].size
            self._events[low] = event
