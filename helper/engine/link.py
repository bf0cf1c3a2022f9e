"""A stream to a server, and its truth."""

from dataclasses import dataclass

from helper.recorder import Recorder
from protocol.errors import CoveyError


@dataclass(slots=True)
class Link:
    """A stream to a server and its truth. `since` is on the event loop's clock. `name` is what the recorder calls it."""

    name: str
    recorder: Recorder
    is_up: bool = False
    since: float = 0.0
    error: CoveyError | None = None
    url: str = ""

    def set(self, is_up: bool, now: float, error: CoveyError | None = None) -> None:
        is_first = not self.since
        if is_up != self.is_up or is_first:
            self._note(is_up, error, is_first=is_first)
            self.since = now
        elif error is not None and str(error) != str(self.error or ""):
            self.recorder.note("server", f"The {self.name} server still can't be reached: {error}.", url=self.url)
        self.is_up, self.error = is_up, error

    def _note(self, is_up: bool, error: CoveyError | None, *, is_first: bool) -> None:
        if is_up:
            sentence = f"Connected to the {self.name} server."
        elif is_first:
            sentence = f"The {self.name} server can't be reached{f': {error}' if error else ''}."
        else:
            sentence = f"The connection to the {self.name} server was lost{f': {error}' if error else ''}."
        self.recorder.note(
            "server", sentence, server=self.name, url=self.url, connected=is_up, error=error.code if error else None
        )
