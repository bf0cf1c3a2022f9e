"""A stream to a server, and its truth."""

from dataclasses import dataclass

from protocol.errors import CoveyError


@dataclass(slots=True)
class Link:
    """A stream to a server and its truth. `since` is on the event loop's clock."""

    is_up: bool = False
    since: float = 0.0
    error: CoveyError | None = None
    url: str = ""

    def set(self, is_up: bool, now: float, error: CoveyError | None = None) -> None:
        if is_up != self.is_up or not self.since:
            self.since = now
        self.is_up, self.error = is_up, error
