"""Tests of what a person sees, on Qt's offscreen platform: real widgets, the real local API, a scripted controller."""

import os

os.environ["QT_QPA_PLATFORM"] = "offscreen"  # before Qt is imported

import asyncio
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtWidgets import QApplication

from app import qt_bridge

Test = Callable[[], Coroutine[Any, Any, None]]
LONGEST = 30.0  # seconds that anything may take on a busy machine


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket's."""
    with tempfile.TemporaryDirectory(prefix="covey-") as name:
        yield Path(name)


@pytest.fixture
def app() -> QApplication:
    return qt_bridge.application(["covey-tray"])


def in_qt(test: Test) -> None:
    """Run a coroutine on Qt's loop; nothing may be left over."""

    async def main(_: QApplication) -> int:
        async with asyncio.timeout(LONGEST):
            await test()
        return 0

    assert qt_bridge.run(main, ["covey-tray"]) == 0


async def until(holds: Callable[[], object], *signals: Any) -> None:
    """Wait until it holds; looks whenever one of the Qt signals is emitted, else at every turn of the loop."""
    news = asyncio.Event()
    slots = [(signal, lambda *_: news.set()) for signal in signals]
    for signal, slot in slots:
        signal.connect(slot)
    try:
        while not holds():
            news.clear()
            if signals:
                await news.wait()
            else:
                await asyncio.sleep(0.005)
    finally:
        for signal, slot in slots:
            signal.disconnect(slot)
