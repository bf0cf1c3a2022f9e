"""What happened, as the local API tells it (JSON)."""

from typing import Any, NotRequired, TypedDict

PAGE = 500  # events of one answer, at most


class JournalEvent(TypedDict):
    """Times are ISO 8601 in UTC. What repeats within a minute is one event."""

    sequence: int  # grows, also over restarts of the helper; there may be gaps
    time: str
    kind: str  # helper, network, sleep, server, relay, peer, path, candidates, mtu, mapping, repair, warning or session
    peer: str  # whom it is about; empty for nobody
    sentence: str
    details: dict[str, Any]
    count: NotRequired[int]  # how often it happened, if more than once
    until: NotRequired[str]


class JournalPage(TypedDict):
    """Answer of `GET /v1/journal?after=SEQUENCE`: the next events, oldest first."""

    events: list[JournalEvent]
    more: bool  # ask again, after the last of these
