"""The end of a session."""

import asyncio
import pathlib
from types import SimpleNamespace

import pytest

from helper.engine.engine import Engine, Options
from helper.settings import StateFolder


async def test_a_session_ends_even_if_whoever_asked_for_it_gives_up_during_the_goodbyes(tmp_path: pathlib.Path) -> None:
    saying = asyncio.Event()

    async def say_goodbye() -> None:
        saying.set()
        await asyncio.Event().wait()

    folder = StateFolder(tmp_path / "state")
    engine = Engine(folder, Options("covey-test"))
    session = asyncio.create_task(asyncio.Event().wait())
    supervisor = engine._supervisor
    supervisor.session, supervisor.task = SimpleNamespace(say_goodbye=say_goodbye), session  # type: ignore[assignment]
    ending = asyncio.create_task(engine.stop())
    await saying.wait()
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    await asyncio.wait([session])
    assert session.cancelled()
    folder.close()
