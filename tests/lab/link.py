"""A link of chosen quality: one process holds a TAP device in each of two namespaces and copies frames between them.

Runs by itself as `link.py NETNS:INTERFACE NETNS:INTERFACE` (paths of namespaces) and reads what the link should be like from
its standard input, a JSON object a line; the newest one holds, for frames that come in from then on. It ends with its input.
"""

import collections
import ctypes
import fcntl
import json
import os
import random
import selectors
import struct
import sys
import time
from dataclasses import asdict, dataclass
from typing import IO, Protocol

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
CLONE_NEWNET = 0x40000000
ETHERNET_HEADER = 14  # bytes
BACKLOG = 2000  # frames in flight each way; more are lost, as in a full queue
BATCH = 64  # frames read at one wake-up


@dataclass(frozen=True, slots=True)
class LinkQuality:
    """What a link does to frames, each way.

    Attributes:
        delay: seconds one way. jitter: up to so many more, at random; frames keep their order.
        loss: share of frames that vanish, 0 to 1.
        size: largest IP packet that passes, in bytes; larger ones vanish without an ICMP error. 0 for no limit.
    """

    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    size: int = 0


class _Process(Protocol):
    stdin: IO[bytes] | None


class Link:
    """The handle of a running link."""

    def __init__(self, process: _Process, quality: LinkQuality) -> None:
        self._process = process
        self.change(quality)

    def change(self, quality: LinkQuality) -> None:
        """Be like this from the next frame on."""
        if self._process.stdin is None:
            raise ValueError("a link is told its quality through its standard input, so it needs a pipe there")
        self._process.stdin.write(json.dumps(asdict(quality)).encode() + b"\n")
        self._process.stdin.flush()
        self.quality = quality


class Direction:
    """Frames on their way from one end to the other: `admit` when one is read, `due` when the time has come."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._frames: collections.deque[tuple[float, bytes]] = collections.deque()

    def admit(self, frame: bytes, quality: LinkQuality, now: float) -> None:
        too_long = quality.size and len(frame) - ETHERNET_HEADER > quality.size
        if too_long or len(self._frames) >= BACKLOG or self._chance.random() < quality.loss:
            return
        at = now + quality.delay + self._chance.random() * quality.jitter
        if self._frames:
            at = max(at, self._frames[-1][0])
        self._frames.append((at, frame))

    def due(self, now: float) -> list[bytes]:
        """Take out every frame whose time has come."""
        ready = []
        while self._frames and self._frames[0][0] <= now:
            ready.append(self._frames.popleft()[1])
        return ready

    @property
    def next_at(self) -> float | None:
        return self._frames[0][0] if self._frames else None


def open_tap(namespace: str, interface: str) -> int:
    """Make a TAP device in a namespace; the file stays with it wherever this process goes later."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(namespace, "rb") as place:
        if libc.setns(place.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", interface.encode(), IFF_TAP | IFF_NO_PI))
    return tap


def carry(one: int, other: int, control: int) -> None:
    """Copy frames until the control file ends."""
    quality, text = LinkQuality(), b""
    ways = {one: (other, Direction(random.Random())), other: (one, Direction(random.Random()))}
    with selectors.DefaultSelector() as selector:
        for file in (one, other, control):
            selector.register(file, selectors.EVENT_READ)
        while True:
            times = [way.next_at for _, way in ways.values() if way.next_at is not None]
            ready = selector.select(max(0.0, min(times) - time.monotonic()) if times else None)
            now = time.monotonic()
            files = [key.fd for key, _ in ready]
            if control in files:  # first: it holds for the frames that came in after it was said
                if not (data := os.read(control, 4096)):
                    return
                *lines, text = (text + data).split(b"\n")
                quality = LinkQuality(**json.loads(lines[-1])) if lines else quality
                files.remove(control)
            for tap in files:
                _read(tap, ways[tap][1], quality, now)
            for target, way in ways.values():
                for frame in way.due(now):
                    _write(target, frame)


def _read(tap: int, way: Direction, quality: LinkQuality, now: float) -> None:
    for _ in range(BATCH):
        try:
            way.admit(os.read(tap, 65536), quality, now)
        except OSError:  # nothing more to read, or the interface is down
            return


def _write(tap: int, frame: bytes) -> None:
    try:
        os.write(tap, frame)
    except OSError:  # the far end is down or full: the frame is lost, as on a cable
        return


def main() -> None:
    ends = [argument.rpartition(":") for argument in sys.argv[1:3]]
    one, other = (open_tap(namespace, interface) for namespace, _, interface in ends)
    carry(one, other, sys.stdin.fileno())


if __name__ == "__main__":
    main()
