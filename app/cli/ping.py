"""`covey ping`: pings through the tunnel, each with the path that the packets take at that moment."""

import asyncio
import contextlib
import os
import re
import shutil
from dataclasses import dataclass, field

from app.cli.find_peer import again, find_peer
from app.cli.words import path_text, plain
from app.helper_client import HelperClient
from protocol.errors import CoveyError
from protocol.local_api import PeerStatus

INTERVAL = 1.0  # seconds between two pings
WAIT = 2  # seconds for each answer
TIME = re.compile(rb"time[=<]([0-9.]+) ?ms")


@dataclass(slots=True)
class Tally:
    """Attributes:
    times: of the answers, in milliseconds.
    """

    sent: int = 0
    times: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        if not self.sent:
            return "nothing sent"
        lost = 100 * (self.sent - len(self.times)) / self.sent
        text = f"{len(self.times)} of {self.sent} answered, {lost:.0f} % lost"
        if self.times:
            mean = sum(self.times) / len(self.times)
            text += f"; shortest {min(self.times):.1f} ms, mean {mean:.1f} ms, longest {max(self.times):.1f} ms"
        return text


async def ping_peer(socket: str, wanted: str, count: int) -> int:
    """Ping, print each answer and, even if interrupted, a summary; return 0 if at least one answer came, else 1."""
    client = HelperClient(socket)
    peer = find_peer(await client.status(), wanted)
    program = shutil.which("ping", path=f"{os.environ.get('PATH', '')}:/bin:/usr/bin:/sbin")
    if program is None:
        raise CoveyError("The program `ping` is not installed.", "Install it: `apt install iputils-ping`.")
    print(f"Pinging {plain(peer['fqdn'] or peer['ip'])} at {plain(peer['ip'])}", flush=True)
    tally = Tally()
    loop = asyncio.get_running_loop()
    changes = asyncio.create_task(_tell_changes(client, peer))
    try:
        for number in range(1, count + 1):
            began = loop.time()
            took = await _ping_once(program, peer["ip"])
            peer = again(await client.status(), peer)
            tally.sent += 1
            if took is not None:
                tally.times.append(took)
            answer = "no answer" if took is None else f"{took:.1f} ms"
            print(f"{number:>3}  {answer:>10}  {describe(peer)}", flush=True)
            if number < count:
                await asyncio.sleep(began + INTERVAL - loop.time())
    finally:
        changes.cancel()
        await asyncio.gather(changes, return_exceptions=True)
        print(tally, flush=True)
    return 0 if tally.times else 1


async def _tell_changes(client: HelperClient, peer: PeerStatus) -> None:
    """Print each change of the path as it happens, until cancelled."""
    path = _path(peer)
    with contextlib.suppress(CoveyError):  # the next ping says that the helper is gone
        async with contextlib.aclosing(client.events()) as told:
            async for status in told:
                peer = again(status, peer)
                if _path(peer) != path:
                    path = _path(peer)
                    print(f"{'':>3}  {'path now':>10}  {describe(peer)}", flush=True)


def _path(peer: PeerStatus) -> tuple[str, str, str]:
    ends = peer["iceCandidateEndpoint"]
    return peer["connectionType"], ends["local"], ends["remote"]


def describe(peer: PeerStatus) -> str:
    """The path in words, or why there is none."""
    if peer["connectionType"] == "-":
        return plain(peer["reason"] or peer["status"].lower())
    remote = peer["iceCandidateEndpoint"]["remote"] if peer["connectionType"] == "P2P" else ""
    return path_text(peer) + (f", {plain(remote)}" if remote else "")


async def _ping_once(program: str, address: str) -> float | None:
    """Milliseconds until the answer; None if none came."""
    process = await asyncio.create_subprocess_exec(
        program, "-n", "-c1", f"-W{WAIT}", "--", address,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "LC_ALL": "C"},
    )  # fmt: skip
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
    found = TIME.search(output)
    return float(found[1]) if process.returncode == 0 and found else None
