"""Traffic whose arrival both ends can prove, and the way to start it in the lab.

    traffic.py receive IP PORT                 take one TCP copy
    traffic.py send IP PORT BYTES [RATE]       make one; RATE in bytes per second
    traffic.py flow IP PORT PEER RATE          numbered datagrams both ways, RATE a second, from a line on
                                               standard input until that ends

Each prints one JSON object at its end.
"""

import contextlib
import hashlib
import json
import os
import random
import select
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.lab.node import Node, Process

SO_RCVBUFFORCE = 33  # socket(7)
CHUNK = random.Random(11).randbytes(1 << 16)
PATIENCE = 240.0  # seconds without progress until a copy gives up, or a flow stops waiting for the other end's last word
SETTLE = 0.5  # seconds that a flow listens on after that
LAST_WORD_EVERY = 0.05  # seconds
END = 0xFFFFFFFF  # the number of a last word
LATE = 0.1  # seconds that a flow may be behind its rate and still catch up, which is a burst
BUFFER = 16 * 1024 * 1024  # bytes; what comes while a busy machine lets a flow wait is not lost for that


def family_of(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def receive(address: str, port: int) -> dict[str, Any]:
    with socket.create_server((address, port), family=family_of(address)) as listener:
        listener.settimeout(PATIENCE)
        connection, _ = listener.accept()
    with connection:
        connection.settimeout(PATIENCE)
        digest, count, gap, last = hashlib.sha256(), 0, 0.0, time.monotonic()
        while data := connection.recv(1 << 18):
            now = time.monotonic()
            gap, last = max(gap, now - last), now
            digest.update(data)
            count += len(data)
        connection.sendall(digest.digest())  # so that the sender's clock stops when all has arrived
    return {"bytes": count, "sha256": digest.hexdigest(), "longest_gap": gap}


def send(address: str, port: int, total: int, rate: float) -> dict[str, Any]:
    digest, sent = hashlib.sha256(), 0
    with socket.create_connection((address, port), PATIENCE) as connection:
        connection.settimeout(PATIENCE)
        began = time.monotonic()
        while sent < total:
            piece = CHUNK[: total - sent]
            connection.sendall(piece)
            digest.update(piece)
            sent += len(piece)
            if rate:
                time.sleep(max(0.0, began + sent / rate - time.monotonic()))
        connection.shutdown(socket.SHUT_WR)
        arrived = connection.recv(32, socket.MSG_WAITALL)
        seconds = time.monotonic() - began
    if arrived != digest.digest():
        raise SystemExit("the bytes arrived changed")
    return {"bytes": sent, "sha256": digest.hexdigest(), "seconds": seconds}


def flow(address: str, port: int, peer: str, rate: float) -> dict[str, Any]:
    """Send numbered datagrams and count those that come; the number sent is the first that the peer should not expect.

    Both ends tell each other when they have sent their last, and listen until they have heard so.
    """
    seen: set[int] = set()
    reordered = sent = 0
    newest = -1
    with socket.socket(family_of(address), socket.SOCK_DGRAM) as endpoint:
        _enlarge(endpoint)
        endpoint.bind((address, port))
        endpoint.setblocking(False)
        watched: list[socket.socket | int] = [endpoint, 0]
        os.read(0, 100)
        due, is_ending, peer_ended, until = time.monotonic(), False, False, float("inf")
        while (now := time.monotonic()) < until:
            ready, _, _ = select.select(watched, [], [], max(0.0, min(due, until) - now))
            now = time.monotonic()
            if 0 in ready and not os.read(0, 100):
                is_ending, due, until = True, now, now + (SETTLE if peer_ended else PATIENCE)
                watched.remove(0)
            if endpoint in ready:
                number = int.from_bytes(endpoint.recv(1500)[:4], "big")
                if number == END:
                    peer_ended, until = True, min(until, now + SETTLE) if is_ending else until
                else:
                    reordered += number < newest
                    newest = max(newest, number)
                    seen.add(number)
            if now >= due:
                with contextlib.suppress(OSError):  # counts as lost
                    endpoint.sendto((END if is_ending else sent).to_bytes(4, "big") + bytes(96), (peer, port))
                sent += not is_ending
                due = max(due + (LAST_WORD_EVERY if is_ending else 1 / rate), now - LATE)
    return {"sent": sent, "received": len(seen), "newest": newest, "reordered": reordered}


def _enlarge(endpoint: socket.socket) -> None:
    try:
        endpoint.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
    except OSError:  # root of a user namespace only
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)


@dataclass(frozen=True, slots=True)
class Running:
    """A started program of this file; `finish` waits for it and returns what it printed."""

    node: "Node"
    title: str
    process: "Process"

    def go(self) -> None:
        """Let a flow begin."""
        if self.process.stdin:
            self.process.stdin.write(b"go\n")
            self.process.stdin.flush()

    def stop(self) -> None:
        """Let a flow end; stop both ends before finishing either, for each listens only a moment longer."""
        if self.process.stdin:
            self.process.stdin.close()

    def finish(self, seconds: float = 300) -> dict[str, Any]:
        """Raises RuntimeError with the program's words if it failed."""
        self.stop()
        code = self.process.wait(seconds)
        lines = self.node.log(self.title).strip().splitlines()
        if code or not lines:
            raise RuntimeError(f"{self.node.name}: {self.title} ended with {code}: {' '.join(lines[-1:])}")
        result: dict[str, Any] = json.loads(lines[-1])
        return result


def start(node: "Node", title: str, *words: object) -> Running:
    program = (sys.executable, "-S", str(Path(__file__)), *map(str, words))
    piped = subprocess.PIPE if words[0] == "flow" else subprocess.DEVNULL
    return Running(node, title, node.spawn(title, *program, stdin=piped))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["receive", ip, number]:
            print(json.dumps(receive(ip, int(number))))
        case ["send", ip, number, size, *rest]:
            print(json.dumps(send(ip, int(number), int(size), float(rest[0]) if rest else 0.0)))
        case ["flow", ip, number, other, pace]:
            print(json.dumps(flow(ip, int(number), other, float(pace))))
        case _:
            sys.exit(__doc__)
