"""The network map on disk, and how old one is: its age counts from when the server last stood by it, over restarts. Pure."""

import re

_HEAD = re.compile(rb"covey-map (\d{1,12})\n")  # no SyncResponse begins like that: it would be a group, which it has none of


def pack(response: bytes, vouched: float) -> bytes:
    """A serialised SyncResponse as it is saved: a line with when the server stood by it, in seconds since 1970, and itself."""
    return b"covey-map %d\n" % max(0, int(vouched)) + response


def unpack(data: bytes) -> tuple[bytes, float | None]:
    """What `pack` put together; None for a time from a file without one."""
    head = _HEAD.match(data)
    return (data[head.end() :], float(head[1])) if head else (data, None)


class MapAge:
    """When the server last stood by the map that is in use: by the wall clock, which restarts outlive, and by the loop's.

    Attributes:
        vouched: that moment, in seconds since 1970; None before there was one.
        is_refused: what was saved is older than the limit, and not used.

    In all methods `now` is on the event loop's clock and `wall` in seconds since 1970.
    """

    def __init__(self) -> None:
        self.vouched: float | None = None
        self.is_refused = False
        self._before = self._since = 0.0

    def vouch(self, now: float, wall: float) -> None:
        """The server stands by it now."""
        self.is_refused = False
        self.vouched, self._before, self._since = wall, 0.0, now

    def restore(self, vouched: float, now: float, wall: float) -> None:
        """Take up what was saved; a clock that was set back meanwhile makes it no younger than new."""
        self.vouched, self._before, self._since = vouched, max(0.0, wall - vouched), now

    def age(self, now: float, wall: float) -> float | None:
        """Seconds, as the clock says that tells of more: the loop's stands still in sleep, the other may be set back."""
        if self.vouched is None:
            return None
        return max(self._before + now - self._since, wall - self.vouched)
