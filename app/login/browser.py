"""Opens the person's browser, without waiting for it to end."""

import asyncio
import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping

BROWSERS = ("xdg-open", "x-www-browser", "sensible-browser", "firefox", "chromium", "chromium-browser", "google-chrome")
FAILS_WITHIN = 5.0  # seconds: a command that lives longer, or ends well, is taken to have opened one


def is_there(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this session can show a browser to the person, as far as can be told without trying."""
    if sys.platform == "linux":
        has_screen = environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
        return bool(has_screen) and bool(commands("", environment))
    return "SSH_CONNECTION" not in environment  # the screen would be another person's


async def open_browser(url: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Open the page; False: no browser could. Cancelling leaves the browser alone."""
    if sys.platform == "win32":
        try:
            os.startfile(url)  # noqa: S606
        except OSError:
            return False
        return True
    found = [["open", url]] if sys.platform == "darwin" else commands(url, environment)
    for command in found:
        if await _runs(command):
            return True
    return False


def commands(url: str, environment: Mapping[str, str]) -> list[list[str]]:
    """How the page may be opened, the person's own wish first: BROWSER is a list of commands, `%s` in them the page."""
    wished = [_words(entry) for entry in environment.get("BROWSER", "").split(os.pathsep)]
    usual = [[name] for name in BROWSERS]
    path = environment.get("PATH")
    found = []
    for words in (*wished, *usual):
        if words and (program := shutil.which(words[0], path=path)):
            arguments = [word.replace("%s", url) for word in words[1:]]
            found.append([program, *arguments] if "%s" in "".join(words) else [program, *arguments, url])
    return found


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return []


async def _runs(command: list[str]) -> bool:
    """Start it as a program of its own, which outlives us; False if it fails at once."""
    process = _started(command)
    if process is None:
        return False
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    threading.Thread(target=_reap, args=(process, ended), name="browser", daemon=True).start()
    try:
        async with asyncio.timeout(FAILS_WITHIN):
            return await ended == 0
    except TimeoutError:
        return True


def _started(command: list[str]) -> "subprocess.Popen[bytes] | None":
    nothing = subprocess.DEVNULL
    try:
        return subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
    except (OSError, ValueError):
        return None


def _reap(process: "subprocess.Popen[bytes]", ended: "asyncio.Future[int]") -> None:
    code = process.wait()

    def tell() -> None:
        if not ended.done():
            ended.set_result(code)

    with contextlib.suppress(RuntimeError):  # the loop has ended
        ended.get_loop().call_soon_threadsafe(tell)
