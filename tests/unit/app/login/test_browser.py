import asyncio
import os
from pathlib import Path

import pytest

from app.login import browser
from app.login.browser import commands, is_there, open_browser

URL = "http://127.0.0.1:5/oauth2/auth?a=b&c=%20d"


def program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"PATH": str(tmp_path), "DISPLAY": ":9"}


def test_the_persons_own_browser_comes_first_and_what_is_not_installed_never(tmp_path: Path, environment: dict[str, str]) -> None:
    for name in ("mine", "other", "xdg-open"):
        program(tmp_path, name, "")
    environment["BROWSER"] = "missing:mine --new %s:other:'unclosed"
    own, other, usual = (str(tmp_path / name) for name in ("mine", "other", "xdg-open"))
    assert commands(URL, environment) == [[own, "--new", URL], [other, URL], [usual, URL]]
    assert commands(URL, environment | {"BROWSER": ""}) == [[usual, URL]]


def test_there_is_a_browser_only_where_there_is_a_screen(tmp_path: Path, environment: dict[str, str]) -> None:
    assert not is_there(environment)
    program(tmp_path, "xdg-open", "")
    assert is_there(environment)
    assert is_there({"PATH": str(tmp_path), "WAYLAND_DISPLAY": "wayland-0"})
    assert not is_there({"PATH": str(tmp_path)})
    assert not is_there({"PATH": str(tmp_path), "DISPLAY": ""})


async def test_the_page_is_handed_over_as_it_is(tmp_path: Path, environment: dict[str, str]) -> None:
    program(tmp_path, "xdg-open", f'printf %s "$1" > {tmp_path}/got')
    assert await open_browser(URL, environment)
    assert (tmp_path / "got").read_text() == URL


async def test_one_that_fails_makes_room_for_the_next(tmp_path: Path, environment: dict[str, str]) -> None:
    program(tmp_path, "xdg-open", "exit 3")
    assert not await open_browser(URL, environment)
    program(tmp_path, "firefox", "exit 0")
    assert await open_browser(URL, environment)


async def test_what_can_not_be_started_is_no_browser(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "xdg-open").write_bytes(b"\x00garbage")
    (tmp_path / "xdg-open").chmod(0o755)
    assert not await open_browser(URL, environment)


async def test_a_browser_that_stays_is_not_waited_for_and_outlives_us(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browser, "FAILS_WITHIN", 0.05)
    os.mkfifo(tmp_path / "pipe")
    program(tmp_path, "xdg-open", f"read line < {tmp_path}/pipe; echo $line > {tmp_path}/got")
    assert await open_browser(URL, environment)
    with (tmp_path / "pipe").open("w") as pipe:  # it is still there to read this
        pipe.write("alive\n")
    async with asyncio.timeout(20):
        while not (tmp_path / "got").exists():
            await asyncio.sleep(0.01)
