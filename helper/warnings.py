"""What a person should know although the tunnel works: each with a code, a sentence and what to do."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from helper.recorder import Recorder


@dataclass(frozen=True, slots=True)
class Warning:
    """`since` is in seconds since 1970."""

    code: str
    sentence: str
    next: str
    since: float


class Warnings:
    """Those in force. `on_change` is called when one comes, goes or says something else."""

    def __init__(self, on_change: Callable[[], None], recorder: Recorder) -> None:
        self._on_change, self._recorder = on_change, recorder
        self._warnings: dict[str, Warning] = {}

    def raise_(self, code: str, sentence: str, next: str) -> None:
        known = self._warnings.get(code)
        if known is None or (known.sentence, known.next) != (sentence, next):
            self._warnings[code] = Warning(code, sentence, next, known.since if known else time.time())
            self._recorder.note("warning", sentence, code=code, next=next)
            self._on_change()

    def clear(self, code: str) -> None:
        if (over := self._warnings.pop(code, None)) is not None:
            self._recorder.note("warning", f"No longer: {over.sentence}", code=code, over=True)
            self._on_change()

    def all(self) -> list[Warning]:
        """Those in force, the oldest first."""
        return sorted(self._warnings.values(), key=lambda warning: (warning.since, warning.code))
