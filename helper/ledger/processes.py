"""A process of ours, told apart from a later one that got the same number (Linux)."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
TERMINATE_TIMEOUT = 2.0  # seconds until a process that ignores SIGTERM is killed


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None if there is none (proc(5), stat, field 22)."""
    try:
        fields = (PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
        return int(fields[19])  # the first one here is field 3
    except (OSError, ValueError, IndexError):
        return None


def command_line(pid: int) -> list[str]:
    """A process's arguments, its program first; empty if there is none."""
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return []


def is_wireguard_go(pid: int, interface: str) -> bool:
    """Say whether this process is a wireguard-go that serves this interface in the foreground, as we start it."""
    program, *arguments = command_line(pid) or [""]
    return os.path.basename(program) == "wireguard-go" and arguments == ["-f", interface]


def find_wireguard_go(interface: str) -> Iterator[int]:
    """Processes in our network namespace that serve this interface."""
    own_namespace = os.readlink(PROC / "thread-self/ns/net")
    for entry in PROC.iterdir():
        if not entry.name.isdigit() or not is_wireguard_go(int(entry.name), interface):
            continue
        try:
            if os.readlink(entry / "ns/net") == own_namespace:
                yield int(entry.name)
        except OSError:
            continue  # it has just ended


async def end_process(pid: int, started: int) -> bool:
    """End a process that started at that time: SIGTERM, then SIGKILL. False if it is not there any more."""
    if sys.platform != "linux":
        raise OSError("processes are told apart on Linux only")
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if start_time(pid) != started:  # asked after opening: from here on the number cannot change hands
            return False
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(descriptor, ended.set)
        try:
            for number in (signal.SIGTERM, signal.SIGKILL):
                signal.pidfd_send_signal(descriptor, number)
                try:
                    async with asyncio.timeout(TERMINATE_TIMEOUT):
                        await ended.wait()
                    return True
                except TimeoutError:
                    continue
        finally:
            loop.remove_reader(descriptor)
    except ProcessLookupError:
        return True
    finally:
        os.close(descriptor)
    return True
