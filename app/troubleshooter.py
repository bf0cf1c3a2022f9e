"""What Troubleshoot asks of the helper: checks, what happened, a report. One of each at a time, each bounded and cancellable."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.cli.bundle import made_alone, write_private
from app.helper_client import HelperClient
from app.state import Failure
from protocol.errors import CoveyError, HelperNotRunning
from protocol.journal import JournalEvent

log = logging.getLogger(__name__)

SHOWN = 300  # events
AGAIN = 1.0  # seconds until we look again for a helper that ended


class Troubleshooter(QObject):
    """Signals:
    checked: the checks ended; the doctor's document, or the Failure that kept it away.
    told: what happened, newest first: at most SHOWN events.
    saved: the report is written, or not; its path and the Failure or None.
    """

    checked = Signal(object)
    told = Signal(object)
    saved = Signal(object, object)

    def __init__(self, client: HelperClient) -> None:
        super().__init__()
        self._client = client
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def check(self) -> None:
        self._begin("checks", self._check)

    def follow(self) -> None:
        """Tell what happens until `stop`."""
        self._begin("events", self._follow)

    def save(self, path: Path) -> None:
        """Write a report to this file, over whatever is there."""
        self._begin("report", lambda: self._save(path))

    def stop(self) -> None:
        """Nobody looks any more; a report that is being written is still written."""
        for name in ("checks", "events"):
            if (task := self._tasks.pop(name, None)) is not None:
                task.cancel()

    def _begin(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        running = self._tasks.get(name)
        if running is None or running.done():
            self._tasks[name] = asyncio.create_task(work(), name=f"troubleshoot: {name}")

    async def _check(self) -> None:
        try:
            self.checked.emit(await self._client.doctor())
        except CoveyError as error:
            self.checked.emit(Failure.of(error))

    async def _follow(self) -> None:
        events: OrderedDict[int, JournalEvent] = OrderedDict()
        while True:
            try:
                for event in await self._client.happened(max(events, default=0)):
                    events[event["sequence"]] = event
                self._tell(events)
                async with aclosing(self._client.journal(max(events, default=0))) as news:
                    async for event in news:
                        events[event["sequence"]] = event
                        self._tell(events)
            except CoveyError as error:
                log.info("no events: %s", error)
            await asyncio.sleep(AGAIN)

    def _tell(self, events: OrderedDict[int, JournalEvent]) -> None:
        while len(events) > SHOWN:
            events.popitem(last=False)
        self.told.emit([events[number] for number in sorted(events, reverse=True)])

    async def _save(self, path: Path) -> None:
        failure: Failure | None = None
        try:
            try:
                data = await self._client.bundle()
            except HelperNotRunning:
                data = await asyncio.to_thread(made_alone, None, include_names=False)
            await asyncio.to_thread(write_private, path, data, force=True)
        except CoveyError as error:
            failure = Failure.of(error)
        self.saved.emit(path, failure)
