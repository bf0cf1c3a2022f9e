"""`covey ping`: pings through the tunnel, each with the path that the packets take at that moment."""

import difflib
import pathlib
import re
import shutil
import subprocess
import time

from app.cli.show import path_text
from app.helper_client import run
from protocol.errors import CoveyError, UsageError
from protocol.local_api import PeerStatus, StatusDocument

INTERVAL = 1.0  # seconds between two pings
WAIT = 2  # seconds for each answer
_TIME = re.compile(rb"time[=<]([0-9.]+) ms")


def ping_peer(socket: pathlib.Path, wanted: str, count: int) -> int:
    """Ping, print, and return 0 if at least one answer came, else 1."""
    program = shutil.which("ping")
    if program is None:
        raise CoveyError("the program `ping` is not installed", "Install it: `apt install iputils-ping`.")
    peer = find_peer(_status(socket), wanted)
    print(f"Pinging {peer['fqdn'] or peer['publicKey']} at {peer['ip']}")
    times: list[float] = []
    for number in range(1, count + 1):
        began = time.monotonic()
        done = subprocess.run([program, "-n", "-c1", f"-W{WAIT}", peer["ip"]], capture_output=True, check=False)
        found = _TIME.search(done.stdout)
        peer = find_peer(_status(socket), peer["publicKey"])
        answer = f"{float(found.group(1)):.1f} ms" if done.returncode == 0 and found else "no answer"
        print(f"{number:>3}  {answer:>10}  {describe(peer)}", flush=True)
        if done.returncode == 0 and found:
            times.append(float(found.group(1)))
        if number < count:
            time.sleep(max(0.0, began + INTERVAL - time.monotonic()))
    lost = 100 * (count - len(times)) // count
    summary = f"{len(times)} of {count} answered, {lost} % lost"
    print(
        summary
        + (f"; {min(times):.1f} / {sum(times) / len(times):.1f} / {max(times):.1f} ms (least, mean, most)" if times else "")
    )
    return 0 if times else 1


def describe(peer: PeerStatus) -> str:
    """The path in words, or why there is none."""
    remote = peer["iceCandidateEndpoint"]["remote"]
    if peer["connectionType"] == "P2P":
        return path_text(peer) + (f", {remote}" if remote else "")
    return path_text(peer) if peer["connectionType"] == "Relayed" else peer["reason"] or peer["status"].lower()


def find_peer(status: StatusDocument, wanted: str) -> PeerStatus:
    """The peer of that name, address or beginning of a key. Raises UsageError with names that are near."""
    peers, low = status["peers"]["details"], wanted.lower().rstrip(".")
    for peer in peers:
        if low in (peer["fqdn"].lower(), peer["fqdn"].lower().partition(".")[0], peer["ip"]) or wanted == peer["publicKey"]:
            return peer
    by_key = [peer for peer in peers if len(wanted) >= 4 and peer["publicKey"].startswith(wanted)]
    if len(by_key) == 1:
        return by_key[0]
    names = [peer["fqdn"].partition(".")[0] for peer in peers]
    near = difflib.get_close_matches(low, names, 3, 0.5)
    known = f"Did you mean {' or '.join(near)}?" if near else "`covey peers` lists them."
    raise UsageError(f"No peer is called {wanted!r}.", known)


def _status(socket: pathlib.Path) -> StatusDocument:
    status: StatusDocument = run(socket, lambda client: client.status())
    return status
