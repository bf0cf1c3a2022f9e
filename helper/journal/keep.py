"""Keeps the flight recorder's events over restarts: lines of JSON in the state folder, appended within a second of the event.

    STATE_DIR/events.jsonl      the newest
    STATE_DIR/events.jsonl.1    those before; replaced when the newest has reached MAX_FILE

The file is opened anew for each write, so it may be moved away or removed at any time. A crash may cost the last second, a
disk that is full costs what the ring loses until there is room again.
"""

import asyncio
import contextlib
import errno
import logging
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

from helper.journal.lines import line_of, read_lines
from helper.recorder import FOLD, RecordedEvent, Recorder

log = logging.getLogger(__name__)

NAME = "events.jsonl"
MAX_FILE = 1_000_000  # bytes
WRITE_EVERY = 1.0  # seconds
TRY_AGAIN = 30.0  # seconds after a write that failed
WAITING = 2000  # events that may wait to be written
GAP = 1000  # numbers left out at each start: the last second before a crash may have used some

KILLED = "The helper started. The last run had no end: it was killed, or the machine lost power or was reset."


class EventFile:
    """The two files. Its methods block, and raise OSError."""

    def __init__(self, folder: Path) -> None:
        self.path, self.before = folder / NAME, folder / f"{NAME}.1"

    def read(self) -> list[RecordedEvent]:
        """Every whole event, oldest first; a file that is not there, or that the system does not let us read, has none."""
        lines: list[str] = []
        for path in (self.before, self.path):
            with contextlib.suppress(OSError), path.open("rb") as file:
                lines += file.read(2 * MAX_FILE).decode(errors="replace").splitlines()
        return read_lines(lines)

    def append(self, text: str) -> None:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0), 0o600)
        with open(descriptor, "r+b", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 1))
            is_torn = file.read(1) not in (b"", b"\n")
            data = ("\n" if is_torn else "").encode() + text.encode()
            if file.write(data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if size + len(data) > MAX_FILE:
            os.replace(self.path, self.before)


class Journal:
    """What waits to be written: each event at once, and one that repeated again when its minute is over."""

    def __init__(self, recorder: Recorder, file: EventFile) -> None:
        self._recorder, self._file = recorder, file
        self._fresh: dict[int, RecordedEvent] = {}
        self._repeated: dict[int, RecordedEvent] = {}
        self._is_failing = False
        self._news = asyncio.Event()

    def tell(self, event: RecordedEvent) -> None:
        waiting = self._fresh if event.count == 1 or event.sequence in self._fresh else self._repeated
        waiting[event.sequence] = event
        if len(waiting) > WAITING:
            del waiting[next(iter(waiting))]
        self._news.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FOLD if self._fresh or self._repeated else None):
                    await self._news.wait()
            self._news.clear()
            await asyncio.sleep(TRY_AGAIN if self._is_failing else WRITE_EVERY)
            now = time.time()
            await self._write([event for event in self._repeated.values() if not 0 <= now - event.time < FOLD])

    async def close(self) -> None:
        """Write all that waits."""
        await self._write(list(self._repeated.values()))

    async def _write(self, repeated: list[RecordedEvent]) -> None:
        events = [*self._fresh.values(), *repeated]
        if not events:
            return
        try:
            await asyncio.to_thread(self._file.append, "".join(map(line_of, events)))
        except OSError as error:
            if not self._is_failing:
                self._is_failing = True
                log.warning("events can't be written to %s: %s; they are kept in memory", self._file.path, error.strerror)
                self._recorder.note("helper", f"Events can't be written to the disk ({error.strerror}); they are kept in memory.")
            return
        if self._is_failing:
            self._is_failing = False
            self._recorder.note("helper", "Events are written to the disk again.")
        for event in events:  # unless it happened once more meanwhile
            for waiting in (self._fresh, self._repeated):
                if waiting.get(event.sequence) is event:
                    del waiting[event.sequence]


@contextlib.asynccontextmanager
async def kept(recorder: Recorder, folder: Path, version: str) -> AsyncIterator[None]:
    """Take in what earlier runs kept, and keep what happens while the context is open; note its beginning and its end."""
    file = EventFile(folder)
    events = await asyncio.to_thread(file.read)
    last = events[-1].sequence if events else 0
    recorder.restore(events, last + GAP if last else 1)
    journal = Journal(recorder, file)
    with recorder.telling(journal.tell):
        runs = [event.details.get("run") for event in events if event.kind == "helper" and event.details.get("run")]
        recorder.note("helper", KILLED if runs[-1:] == ["begins"] else "The helper started.", run="begins", version=version)
        writing = asyncio.create_task(journal.run(), name="journal")
        try:
            yield
        finally:
            recorder.note("helper", "The helper ended.", run="ends", version=version)
            writing.cancel()
            await asyncio.wait([writing])
            await journal.close()
