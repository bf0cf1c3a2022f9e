"""Qt and asyncio in one thread: the only module that knows how (qasync today).

The loop is Qt's own, so a coroutine may touch widgets and a slot may start a task. Qt's side must never block: no `exec()` of
dialogs, no waiting calls; whatever blocks goes to `asyncio.to_thread`.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from PySide6.QtWidgets import QApplication

log = logging.getLogger(__name__)

WORKERS = 2  # threads for what blocks: the keyring, the browser
SHUTDOWN_TIMEOUT = 3.0  # seconds that tasks have to end after the main one


def application(argv: list[str]) -> QApplication:
    """The one QApplication of this process; closing the last window does not end it."""
    found = QApplication.instance()
    app = found if isinstance(found, QApplication) else QApplication(argv)
    app.setApplicationName("Covey")
    app.setDesktopFileName("covey")
    app.setQuitOnLastWindowClosed(False)
    return app


def run(main: Callable[[QApplication], Coroutine[Any, Any, int]], argv: list[str]) -> int:
    """Run `main` with the application until it returns, and return what it does; SIGINT and SIGTERM cancel it.

    Afterwards every other task is cancelled and waited for, so that nothing is left half done.
    """
    from qasync import QEventLoop

    app = application(argv)
    loop: asyncio.AbstractEventLoop = QEventLoop(app)
    asyncio.set_event_loop(loop)
    loop.set_default_executor(_Workers(WORKERS, thread_name_prefix="covey"))
    try:
        return loop.run_until_complete(_whole(main(app)))
    finally:
        loop.close()
        asyncio.set_event_loop(None)


def leave(code: int) -> None:
    """End the process now, as `sys.exit` does, but without waiting for threads that a keyring or a browser holds."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class _Workers(ThreadPoolExecutor):
    """Threads that nobody waits for."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait=False, cancel_futures=True)


async def _whole(main: Coroutine[Any, Any, int]) -> int:
    """`main`, and then an orderly end: what still ran when the loop stops would run on without a running loop in qasync."""
    try:
        return await _until_told(main)
    finally:
        await _end_tasks()
        await asyncio.get_running_loop().shutdown_asyncgens()


async def _until_told(main: Coroutine[Any, Any, int]) -> int:
    """Wait for `main`; a signal cancels it and is no failure."""
    task = asyncio.create_task(main)
    if sys.platform != "win32":
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        return 0
    finally:
        if sys.platform != "win32":
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                loop.remove_signal_handler(number)


async def _end_tasks() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        _, late = await asyncio.wait(left, timeout=SHUTDOWN_TIMEOUT)
        for task in late:
            log.warning("%s did not end", task.get_name())
