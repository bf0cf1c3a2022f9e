"""What the tunnel can do without fails without it."""

import asyncio

import pytest

from helper.engine import aside as module
from helper.engine.aside import aside


async def test_what_fails_is_logged_and_begun_anew(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(module, "AGAIN", 0.0)
    begun = 0

    async def fail_twice() -> None:
        nonlocal begun
        begun += 1
        if begun < 3:
            raise ZeroDivisionError

    await aside(fail_twice, "counting")
    assert begun == 3
    assert "counting failed" in caplog.text


async def test_it_ends_when_it_is_cancelled() -> None:
    task = asyncio.create_task(aside(asyncio.Event().wait, "waiting"))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
