import asyncio
import os
import signal
import subprocess
import sys

import pytest
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from app import qt_bridge
from tests.gui.conftest import in_qt


def test_what_main_returns_is_returned_and_the_loop_can_be_run_again() -> None:
    async def main(_: QApplication) -> int:
        return await asyncio.to_thread(lambda: 7)

    assert qt_bridge.run(main, ["covey-tray"]) == 7
    assert qt_bridge.run(main, ["covey-tray"]) == 7


def test_an_exception_of_main_comes_out() -> None:
    async def main(_: QApplication) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        qt_bridge.run(main, ["covey-tray"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_main_and_every_other_task_in_order(number: signal.Signals) -> None:
    ended = []

    async def other() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("other")

    async def main(_: QApplication) -> int:
        task = asyncio.create_task(other())
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), number)
        try:
            await task
        finally:
            ended.append("main")
        return 1

    assert qt_bridge.run(main, ["covey-tray"]) == 0
    assert ended == ["main", "other"] or ended == ["other", "main"]


def test_slots_and_coroutines_share_the_thread() -> None:
    async def test() -> None:
        happened = asyncio.Event()
        QTimer.singleShot(0, happened.set)
        await happened.wait()

    in_qt(test)


def test_a_thread_that_hangs_does_not_keep_the_program() -> None:
    """A keyring that waits for a person must not hold back Quit."""
    program = (
        "import asyncio, threading\n"
        "from app import qt_bridge\n"
        "async def main(app):\n"
        "    asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)\n"
        "    await asyncio.sleep(0)\n"
        "    return 5\n"
        "qt_bridge.leave(qt_bridge.run(main, ['covey-tray']))\n"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 5


NONE_COUNTER = """
import gc, sys
from PySide6.QtCore import QObject, QTimer
from app import qt_bridge

app, named, timer = qt_bridge.application(["covey-tray"]), QObject(), QTimer()

def calls():
    for _ in range(300):
        app.processEvents()
        named.setObjectName("x")
        timer.start(1000)
        timer.stop()

calls()
gc.collect()
before = sys.getrefcount(None)
calls()
print(before - sys.getrefcount(None))
"""


def test_calls_into_qt_do_not_lose_references_to_none() -> None:
    """PySide 6.12.0 gives back one None too few for each void call, and on Python 3.11 the process dies of it in the end."""
    counted = subprocess.run([sys.executable, "-c", NONE_COUNTER], timeout=60, check=True, capture_output=True, text=True)
    assert int(counted.stdout) < 100
