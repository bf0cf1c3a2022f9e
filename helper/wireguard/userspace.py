"""Run wireguard-go, and be sure that it ends.

It is no daemon of its own: we start it in the foreground and stop it when we end. It has a session of its own, so Ctrl-C at
a terminal reaches only us. If we are killed the tunnel lives on without us until our next start, which finds the process in
the ledger and replaces it.
"""

import asyncio
import contextlib
import logging
import os
import shutil
import sys
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path

from helper.ledger.ledger import Ledger
from helper.ledger.processes import TERMINATE_TIMEOUT, start_time
from helper.wireguard.uapi import UapiClient, is_served, remove_stale_socket, socket_path
from protocol.errors import AlreadyRunning, CoveyError, NoPermission, NoTunDevice, WireGuardMissing

START_TIMEOUT = 10.0  # seconds; it takes some 10 ms
START_POLL = 0.005  # seconds between two looks for the socket
TUN_DEVICE = "/dev/net/tun"

log = logging.getLogger(__name__)


def find_wireguard_go() -> Path:
    """Look in PATH, in the system's folders and beside our own program. Raises WireGuardMissing."""
    beside = Path(sys.argv[0]).absolute().parent
    for folder in (*os.get_exec_path(), "/usr/bin", "/usr/local/bin", str(beside), str(Path(sys.executable).parent)):
        program = shutil.which("wireguard-go", path=folder)
        if program is not None:
            return Path(program).absolute()
    raise WireGuardMissing("this kernel has no WireGuard and wireguard-go is not installed")


def has_tun_device() -> bool:
    return os.path.exists(TUN_DEVICE)


class WireGuardGo:
    """A running wireguard-go."""

    def __init__(self, interface: str, process: asyncio.subprocess.Process) -> None:
        self.interface = interface
        self.process = process
        self.uapi = UapiClient(interface)
        self.last_lines: deque[str] = deque(maxlen=5)

    async def wait_ended(self) -> str:
        code = await self.process.wait()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        return f"wireguard-go on {self.interface} {how}" + (f": {self.last_lines[-1]}" if self.last_lines else "")


@contextlib.asynccontextmanager
async def run_wireguard_go(interface: str, ledger: Ledger) -> AsyncIterator[WireGuardGo]:
    """Start wireguard-go and wait until it takes configuration; leaving the context ends it, and the interface with it.

    Raises WireGuardMissing, NoTunDevice, NoPermission, AlreadyRunning.
    """
    program = find_wireguard_go()
    if not has_tun_device():
        raise NoTunDevice(f"{TUN_DEVICE} is not there, and wireguard-go needs it")
    if is_served(interface):
        raise AlreadyRunning(
            f"another wireguard-go serves an interface named {interface}",
            "Stop it, or choose another name with --interface. Network namespaces share these names, by /var/run/wireguard.",
        )
    remove_stale_socket(interface)
    change = ledger.record("wireguard-go", interface=interface)
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            "-f",
            interface,
            env={**os.environ, "WG_PROCESS_FOREGROUND": "1", "LOG_LEVEL": "error"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError:
        ledger.forget(change.id)
        raise
    running = WireGuardGo(interface, process)
    logging_task = asyncio.create_task(_log_output(running), name=f"wireguard-go output {interface}")
    try:
        ledger.amend(change.id, pid=process.pid, start_time=start_time(process.pid))
        await _wait_for_socket(running)
        yield running
    finally:
        await _end(running)
        await logging_task
        remove_stale_socket(interface)
        ledger.forget(change.id)


async def _wait_for_socket(running: WireGuardGo) -> None:
    path = socket_path(running.interface)
    try:
        async with asyncio.timeout(START_TIMEOUT):
            while not (path.exists() and is_served(running.interface)):
                if running.process.returncode is not None:
                    await asyncio.sleep(0)  # lets its last lines arrive
                    raise _start_error(running)
                await asyncio.sleep(START_POLL)
    except TimeoutError:
        raise CoveyError(f"wireguard-go did not come up on {running.interface} within {START_TIMEOUT:.0f} s") from None


def _start_error(running: WireGuardGo) -> CoveyError:
    said = " ".join(running.last_lines)
    lowered = said.lower()
    if "not permitted" in lowered or "permission denied" in lowered:
        return NoPermission(f"wireguard-go may not make the interface {running.interface}: CAP_NET_ADMIN is missing")
    if "/dev/net/tun" in lowered:
        return NoTunDevice(f"wireguard-go cannot open {TUN_DEVICE}: {said}")
    if "busy" in lowered or "in use" in lowered:
        return AlreadyRunning(f"the interface {running.interface} is in use: {said}")
    return CoveyError(f"wireguard-go ended at once on {running.interface}: {said or 'it said nothing'}")


async def _log_output(running: WireGuardGo) -> None:
    stream = running.process.stdout
    if stream is None:
        return
    while True:
        try:
            line = (await stream.readline()).decode(errors="replace")
        except ValueError:  # longer than the reader's buffer, which is now empty
            continue
        if not line:
            return
        text = line.strip()
        if not text or text[0] in "┌│└":  # a box that says that the kernel has WireGuard too, which we know
            continue
        running.last_lines.append(text)
        is_ours = "ERROR" in text and "peer(" not in text  # it has an error a packet while the network is away
        log.log(logging.WARNING if is_ours else logging.DEBUG, "wireguard-go %s: %s", running.interface, text)


async def _end(running: WireGuardGo) -> None:
    process = running.process
    for stop in (process.terminate, process.kill):
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TERMINATE_TIMEOUT):
                await process.wait()
                return
