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

CHUNK = random.Random(11).randbytes(1 << 16)
PATIENCE = 60.0  # seconds without progress until a copy gives up
SETTLE = 0.5  # seconds that the last datagrams of a flow may need


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
    with socket.create_connection((address, port), 20) as connection:
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
    """Send numbered datagrams and count those that come; the number sent is the first that the peer should not expect."""
    seen: set[int] = set()
    reordered = sent = 0
    newest = -1
    with socket.socket(family_of(address), socket.SOCK_DGRAM) as endpoint:
        endpoint.bind((address, port))
        endpoint.setblocking(False)
        watched: list[socket.socket | int] = [endpoint, 0]
        os.read(0, 100)
        began, ended = time.monotonic(), 0.0
        while not ended or time.monotonic() < ended + SETTLE:
            due = began + sent / rate
            ready, _, _ = select.select(watched, [], [], max(0.0, min(due - time.monotonic(), 0.05)))
            if 0 in ready and not os.read(0, 100):
                ended = time.monotonic()
                watched.remove(0)
            if endpoint in ready:
                number = int.from_bytes(endpoint.recv(1500)[:4], "big")
                reordered += number < newest
                newest = max(newest, number)
                seen.add(number)
            if not ended and time.monotonic() >= due:
                with contextlib.suppress(OSError):  # counts as lost
                    endpoint.sendto(sent.to_bytes(4, "big") + bytes(96), (peer, port))
                sent += 1
    return {"sent": sent, "received": len(seen), "newest": newest, "reordered": reordered}


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

    def finish(self, seconds: float = 120) -> dict[str, Any]:
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
