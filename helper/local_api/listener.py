"""The socket that the local API listens on."""

import contextlib
import os
import pathlib
import socket
import stat
from collections.abc import AsyncIterator

from aiohttp import web

from helper.local_api.service import Controller, make_app
from protocol.errors import AlreadyRunning, NoPermission, UsageError

MAX_PATH = 107  # bytes of a Unix socket's path


@contextlib.asynccontextmanager
async def serve(controller: Controller, path: pathlib.Path) -> AsyncIterator[None]:
    """Answer on a Unix socket until the context ends.

    Everybody on this machine may connect; each call is authorised by who the kernel says the caller is.

    Raises:
        AlreadyRunning: a living helper listens there.
        NoPermission, UsageError: the socket can't be made there.
    """
    listener = _listen(path)
    runner = web.AppRunner(make_app(controller), access_log=None, shutdown_timeout=1.0)
    try:
        await runner.setup()
        await web.SockSite(runner, listener).start()
        yield
    finally:
        await runner.cleanup()
        listener.close()
        with contextlib.suppress(OSError):
            os.unlink(path)


def _listen(path: pathlib.Path) -> socket.socket:
    if len(os.fsencode(path)) > MAX_PATH:
        raise UsageError(f"The socket's path is longer than {MAX_PATH} bytes: {path}")
    try:
        if not path.parent.exists():
            path.parent.mkdir(parents=True, mode=0o755)
        _clear(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(path))
            os.chmod(path, 0o666)  # noqa: S103  each call is authorised
            listener.listen(64)
            listener.setblocking(False)
        except OSError:
            listener.close()
            raise
        return listener
    except OSError as error:
        raise NoPermission(f"the socket {path} can't be made: {error.strerror}") from None


def _clear(path: pathlib.Path) -> None:
    """Remove what a dead helper left behind; refuse to take a living one's place."""
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise UsageError(f"{path} is there and is no socket; choose another with --socket.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except OSError:
            pass  # somebody is there, but busy
    raise AlreadyRunning(f"another helper already listens at {path}")
