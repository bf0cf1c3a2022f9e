"""What the server asks of the system that it runs on: Linux or macOS."""

import asyncio
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

from protocol.errors import AlreadyRunning
from server.store.errors import DataFolderUnusable

LOCK = "server.lock"
MANY_DESCRIPTORS = 131_072


class ServerAlreadyRunning(AlreadyRunning):
    hint = "Stop the other one, or give this one its own --data-dir."


def lock_folder(data_dir: Path) -> IO[bytes]:
    """Claim the folder until the returned file is closed or this process ends.

    Raises ServerAlreadyRunning if another server has it, DataFolderUnusable if we may not write there.
    """
    try:
        file = open(data_dir / LOCK, "ab")  # noqa: SIM115 the caller keeps it open
    except OSError as error:
        raise DataFolderUnusable(f"cannot use the folder {data_dir}: {error.strerror}") from None
    try:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise ServerAlreadyRunning(f"another covey-server runs on {data_dir}") from None
    return file


def is_locked(data_dir: Path) -> bool:
    """Whether a server runs on the folder."""
    if not (data_dir / LOCK).exists():
        return False
    try:
        lock_folder(data_dir).close()
    except ServerAlreadyRunning:
        return True
    return False


def unix_socket() -> socket.socket:
    """A unix stream socket, non-blocking and not connected yet. Raises OSError on a system that has none."""
    if sys.platform == "win32":
        raise OSError("this system has no unix sockets")
    sock = socket.socket(socket.AF_UNIX)
    sock.setblocking(False)
    return sock


def allow_many_descriptors() -> None:
    """Raise the limit: each helper holds three, at the front door, towards gRPC, and gRPC's own."""
    if sys.platform != "win32":
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = MANY_DESCRIPTORS if hard == resource.RLIM_INFINITY else hard
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def on_signals(stop: Callable[[], None], look_again: Callable[[], None]) -> None:
    """Call `stop` at SIGTERM and SIGINT, `look_again` at SIGHUP, for as long as this event loop runs."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    if sys.platform != "win32":
        loop.add_signal_handler(signal.SIGHUP, look_again)
