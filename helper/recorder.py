"""The flight recorder: what happened to this machine's tunnel, so that it can be told afterwards."""

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

Detail = str | int | float | bool | None
EVENTS = 4000  # that are kept


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """Attributes:
    time: in seconds since 1970, by the wall clock.
    kind: helper, network, sleep, server, relay, peer, path, candidates, mtu, mapping, repair, warning or session.
    peer: the name of the peer it is about; empty for none.
    """

    sequence: int
    time: float
    kind: str
    sentence: str
    peer: str = ""
    details: Mapping[str, Detail] = field(default_factory=dict)


class Recorder:
    """Keeps the last events. Never tell it a secret."""

    def __init__(self) -> None:
        self._events: deque[RecordedEvent] = deque(maxlen=EVENTS)
        self._sequence = 0

    def note(self, kind: str, sentence: str, *, peer: str = "", **details: Detail) -> None:
        self._sequence += 1
        self._events.append(RecordedEvent(self._sequence, time.time(), kind, sentence, peer, details))

    def events(self, after: int = 0) -> list[RecordedEvent]:
        """Those with a higher sequence number, oldest first."""
        return [event for event in self._events if event.sequence > after]
