"""Proves that the helper lives: to systemd, which restarts it else, and to whoever reads the log afterwards.

Every few seconds the event loop asks its own local API a question, as a program outside would. Only an answer is passed on as
WATCHDOG=1: a helper whose loop turns but who answers nobody is as good as dead. A loop that stands still for more than HANG
seconds has the stacks of all threads written to the log, by a thread that needs no loop. It is one of Python's: faulthandler's
own reads the frames of threads that run meanwhile, and a helper that was frozen died of that when it woke.

Source: sd_notify(3), sd_watchdog_enabled(3).
"""

import asyncio
import contextlib
import logging
import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

log = logging.getLogger(__name__)

HANG = 10.0  # seconds until a loop that does not turn is written about
BEAT = 3.0  # seconds between two turns that prove that it does
ANSWER_WITHIN = 5.0  # seconds for the local API; a person waits for one at most
QUESTION = b"GET /v1/version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class ServiceManager:
    """What we tell systemd, if it started us."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self.interval = _interval(environment)

    def tell(self, state: str) -> None:
        """Send a state such as READY=1; one that does not arrive stops nothing."""
        if not self._address or sys.platform == "win32":
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.sendto(state.encode(), address)
        except OSError as error:
            log.warning("the service manager could not be told %s: %s", state, error.strerror)


def _interval(environment: Mapping[str, str]) -> float | None:
    """Seconds between two signs of life, half of what systemd waits for; None if it wants none from us."""
    try:
        if int(environment.get("WATCHDOG_PID", os.getpid())) != os.getpid():
            return None
        microseconds = int(environment.get("WATCHDOG_USEC", "0"))
    except ValueError:
        return None
    return microseconds / 2e6 if microseconds > 0 else None


@contextlib.asynccontextmanager
async def guarded(api: Path, manager: ServiceManager | None = None) -> AsyncIterator[Callable[[], None]]:
    """Watch over the running loop; call what this gives once the helper serves.

    Args:
        api: the local API's socket.
    """
    manager = manager or ServiceManager()
    heart = _Heart()
    tasks = [asyncio.create_task(heart.beat(), name="beat")]
    if manager.interval is not None:
        tasks.append(asyncio.create_task(_prove(manager, manager.interval, lambda: answers(api)), name="watchdog"))
    try:
        yield lambda: manager.tell("READY=1")
    finally:
        manager.tell("STOPPING=1")
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        heart.stop()


class _Heart:
    """Beats while the loop turns; a thread listens."""

    def __init__(self) -> None:
        self._beat_at = time.monotonic()
        self._stopped = threading.Event()
        threading.Thread(target=self._listen, name="watchdog", daemon=True).start()

    async def beat(self) -> None:
        while True:
            self._beat_at = time.monotonic()
            await asyncio.sleep(BEAT)

    def stop(self) -> None:
        self._stopped.set()

    def _listen(self) -> None:
        told_of, pause = 0.0, HANG / 2
        while True:
            since = time.monotonic()
            if self._stopped.wait(pause):
                return
            now, beat_at = time.monotonic(), self._beat_at
            was_frozen = now - since > 2 * pause  # so were we: it is the process that stood still, not the loop
            if now - beat_at > HANG and beat_at != told_of and not was_frozen:
                told_of = beat_at
                log.error("the event loop has stood still for %.0f s:\n%s", now - beat_at, _stacks())


def _stacks() -> str:
    """Where each thread is, the innermost call last."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    found = sys._current_frames().items()
    return "".join(f"{names.get(ident, ident)}:\n{''.join(traceback.format_stack(frame))}" for ident, frame in found)


async def _prove(manager: ServiceManager, interval: float, is_alive: Callable[[], Awaitable[bool]]) -> None:
    while True:
        if await is_alive():
            manager.tell("WATCHDOG=1")
        else:
            log.error("the local API does not answer; the service manager gets no sign of life")
        await asyncio.sleep(interval)


async def answers(api: Path) -> bool:
    """Say whether the local API answers within ANSWER_WITHIN."""
    if sys.platform == "win32":
        return True
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            reader, writer = await asyncio.open_unix_connection(api)
            try:
                writer.write(QUESTION)
                return (await reader.readline()).split(b" ")[1:2] == [b"200"]
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return False
