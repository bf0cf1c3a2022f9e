"""`covey-tray` as a program: what it says and how it ends."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest

from helper.local_api.listener import serve
from tests.unit.helper.local_api.scripted import ScriptedController

Environment = dict[str, str]


async def start(folder: Path, *words: str, **environment: str) -> Process:
    own = {
        "QT_QPA_PLATFORM": "offscreen",
        "XDG_RUNTIME_DIR": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "PYTHONWARNINGS": "error",
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("QT_", "DBUS_"))}
    program = [sys.executable, "-m", "app.tray.main", "--socket", str(folder / "helper.sock"), *words]
    return await asyncio.create_subprocess_exec(*program, env={**inherited, **own, **environment}, stdout=PIPE, stderr=PIPE)


async def test_it_runs_until_it_is_told_to_end_and_a_second_start_finds_it(folder: Path) -> None:
    controller = ScriptedController()
    async with serve(controller, folder / "helper.sock"):
        first = await start(folder, "--hidden")
        async with asyncio.timeout(60):
            while not controller.watchers:  # it hears the helper's events
                await asyncio.sleep(0.01)
            second = await start(folder, "covey://203.0.113.10:443/join")
            _, said = await second.communicate()
            assert (second.returncode, said) == (0, b"Covey is running already.\n")
            first.send_signal(signal.SIGTERM)
            out, said = await first.communicate()
    complaints = [line for line in said.splitlines() if line != b"This plugin does not support raise()"]  # Qt's, offscreen
    assert (first.returncode, out, complaints) == (0, b"", [])
    assert controller.calls == []


@pytest.mark.parametrize(
    ("words", "environment", "code", "sentence"),
    [
        (["--help"], {}, 0, "a join link (covey://...) to open"),
        (["--version"], {}, 0, "covey-tray 0."),
        (["--nonsense"], {}, 2, "unrecognized arguments"),
        ([], {"QT_QPA_PLATFORM": "", "DISPLAY": "", "WAYLAND_DISPLAY": ""}, 1, "There is no screen here"),
    ],
)
async def test_it_says_what_it_takes(
    folder: Path, words: list[str], environment: dict[str, str], code: int, sentence: str
) -> None:
    program = await start(folder, *words, **environment)
    out, said = await program.communicate()
    assert program.returncode == code
    assert sentence in (out + said).decode()


async def test_a_folder_that_is_not_ours_is_said(folder: Path) -> None:
    (folder / "covey").touch()
    program = await start(folder)
    _, said = await program.communicate()
    assert program.returncode == 1
    assert b"Is XDG_RUNTIME_DIR yours?" in said
