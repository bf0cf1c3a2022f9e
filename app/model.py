"""The app's one model: follows the helper, carries out what a person asks for, and tells whoever shows it.

One command at a time: Disconnect ends what is under way, everything else waits its turn. Each is bounded and can be cancelled.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.helper_client import HelperClient
from app.state import AppState, Doing, Failure, Helper
from app.watch import follow
from protocol.errors import CoveyError
from protocol.local_api import StatusDocument, UpRequest

log = logging.getLogger(__name__)

COMMAND_TIMEOUT = 90.0  # seconds; each call has a shorter bound of its own


class AppModel(QObject):
    """Signals:
    changed: the state is another; the argument is the new AppState.
    done: a command ended well; the argument is its Doing.
    """

    changed = Signal(object)
    done = Signal(object)

    def __init__(self, socket: Path) -> None:
        super().__init__()
        self.client = HelperClient(socket)
        self.state = AppState()
        self.watchers = 0  # how many look at counters now
        self._command: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to follow the helper; the event loop runs."""
        self._following = asyncio.create_task(follow(self.client, self, lambda: self.watchers > 0), name="follow the helper")

    async def close(self) -> None:
        """End everything; what the helper does goes on."""
        tasks = [task for task in (self._command, self._following) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # ---- what the helper says

    def on_status(self, status: StatusDocument) -> None:
        self._show(self.state.told(status, time.time()))

    def on_answered(self) -> None:
        self._show(self.state.answered(time.time()))

    def on_silent(self) -> None:
        self._show(self.state.silenced())

    def on_missing(self, error: CoveyError) -> None:
        self._show(self.state.missed(error))

    # ---- commands

    def connect_(self, request: UpRequest | None = None) -> None:
        """Come up, with what is new in the request."""
        self._begin(Doing.CONNECTING, self._connect(request or UpRequest()))

    def disconnect_(self) -> None:
        """Go down; wins over whatever is under way."""
        self._give_up()
        self._begin(Doing.DISCONNECTING, self.client.down())

    def cancel(self) -> None:
        """Give up what is under way; the helper gives up with us."""
        if self.state.doing is Doing.CONNECTING:
            self.disconnect_()
        else:
            self._give_up()

    async def _connect(self, request: UpRequest) -> None:
        await self.client.up(request)

    # ---- how

    def _begin(self, doing: Doing, work: Coroutine[Any, Any, None]) -> None:
        if self._command is not None:
            work.close()
            return
        self._show(self.state.begun(doing))
        self._command = asyncio.create_task(self._carry_out(doing, work), name=doing.value)

    def _give_up(self) -> None:
        command, self._command = self._command, None
        if command is not None:
            command.cancel()
            self._show(self.state.ended())

    async def _carry_out(self, doing: Doing, work: Coroutine[Any, Any, None]) -> None:
        failure: Failure | None = None
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT):
                await work
                self._show(self.state.told(await self.client.status(), time.time()))
        except CoveyError as error:
            failure = Failure.of(error)
        except TimeoutError:
            failure = Failure("timed-out", "The helper did not answer in time.", "See whether it still runs.")
        except Exception:
            log.exception("%s failed", doing.value)
            failure = Failure("internal", "Covey failed unexpectedly.", CoveyError.hint)
        if asyncio.current_task() is not self._command:
            return  # given up, and something else began
        self._command = None
        self._show(self.state.ended(failure))
        if failure is None:
            self.done.emit(doing)

    def _show(self, state: AppState) -> None:
        former, self.state = self.state, state
        if replace(former, heard=state.heard) != state or (state.helper is Helper.SILENT and former.heard != state.heard):
            self.changed.emit(state)
