"""What an endurance run sees of its field without asking a helper: answers to pings, packets at the server, processes, logs."""

import itertools
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.node import Node
from tests.soak.field import Field
from tests.soak.judge import Pair

ECHO = Path(__file__).with_name("echo.py")
SMALLEST, BLOCK = 20, 16  # WireGuard pads to blocks of 16 bytes; so each tunnel's pings have a size of their own
UDP, IP_AND_ICMP, UDP_AND_WIREGUARD, CHANNEL_DATA = 8, 28, 8 + 32, 4  # bytes of headers (and the tag)
DATA = "0x04000000"  # the first four bytes of WireGuard's data
MARK = "Traceback (most recent call last)"


class Echoes:
    """Pings from every host to every other one, once a second."""

    def __init__(self, field: Field) -> None:
        addresses = {name: member.address for name, member in field.members.items()}
        self._names = {address: name for name, address in addresses.items()}
        self._files: dict[str, Path] = {}
        self._read: dict[str, int] = {}
        blocks = blocks_of(sorted(addresses))
        for name, member in field.members.items():
            sizes = {other: BLOCK * blocks[frozenset((name, other))] - IP_AND_ICMP for other in addresses if other != name}
            words = [f"{addresses[other]}={size}" for other, size in sizes.items()]
            member.node.spawn("echo", sys.executable, "-S", str(ECHO), *words)
            self._files[name], self._read[name] = member.node.logs / f"{name}-echo.log", 0

    def fresh(self) -> Iterator[tuple[str, str]]:
        """Who was answered by whom since the last time."""
        for name, file in self._files.items():
            with file.open("rb") as log:
                log.seek(self._read[name])
                lines = log.read()
            whole = lines.rfind(b"\n") + 1
            self._read[name] += whole
            for line in lines[:whole].decode().splitlines():
                if (other := self._names.get(line.split()[0])) is not None:
                    yield name, other


def blocks_of(names: list[str]) -> dict[Pair, int]:
    """How many blocks of 16 bytes the pings of each tunnel fill."""
    pairs = itertools.combinations(names, 2)
    return {frozenset(pair): SMALLEST + number for number, pair in enumerate(pairs)}


class ServersCable:
    """Counts the tunnels' packets that come in at the server, bare or in a TURN channel, by their size.

    What WireGuard sends as data begins with DATA; the server's own requests may be of the same size.
    """

    def __init__(self, server: Node, names: list[str]) -> None:
        self._server, self._seen = server, dict[Pair, int]()
        self._pairs = {f"{'x'.join(sorted(pair))}": (pair, blocks) for pair, blocks in blocks_of(names).items()}
        counters, rules = [], []
        for label, (_, blocks) in self._pairs.items():
            size = UDP_AND_WIREGUARD + BLOCK * blocks
            counters.append(f"  counter {label} {{ }}")
            for length, payload in ((size, UDP), (size + CHANNEL_DATA, UDP + CHANNEL_DATA)):
                rules.append(f"    udp length {length} @th,{8 * payload},32 {DATA} counter name {label}")
        hook = "    type filter hook prerouting priority -300"
        text = "\n".join(["table inet soak {", *counters, "  chain incoming {", hook, *rules, "  }", "}"])
        server.script(nft=text + "\n")

    def fresh(self) -> Iterator[tuple[Pair, int]]:
        """Packets of each tunnel since the last time, where there were any."""
        answer = json.loads(self._server.run("nft", "-j", "list", "counters", "table", "inet", "soak").stdout)
        for entry in answer["nftables"]:
            if counter := entry.get("counter"):
                pair, packets = self._pairs[counter["name"]][0], int(counter["packets"])
                if packets > self._seen.get(pair, 0):
                    yield pair, packets - self._seen.get(pair, 0)
                self._seen[pair] = packets


@dataclass
class Life:
    """One process from its start to its end: (seconds since the beginning, resident kB, file descriptors)."""

    name: str
    pid: int
    samples: list[tuple[float, int, int]] = field(default_factory=list)


class Processes:
    """Memory and file descriptors of helpers, of their wireguard-go and of the server."""

    def __init__(self, field: Field) -> None:
        self._field = field
        self.lives: dict[int, Life] = {}

    def sample(self, now: float) -> None:
        programs = {name: member.process for name, member in self._field.members.items()}
        for name, process in (*programs.items(), ("server", self._field.server.process)):
            if process is not None and process.poll() is None:
                self._sample(name, process.pid, now)
                for child in _children(process.pid):
                    self._sample(f"{name}'s wireguard-go", child, now)

    def _sample(self, name: str, pid: int, now: float) -> None:
        try:
            resident = int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0])
            files = len(os.listdir(f"/proc/{pid}/fd"))
        except (OSError, IndexError):  # it has just ended
            return
        self.lives.setdefault(pid, Life(name, pid)).samples.append((now, resident, files))


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


class Logs:
    """Tracebacks in the logs of Covey's programs."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._read = folder, dict[Path, int]()

    def fresh(self) -> Iterator[tuple[str, str]]:
        """Program and the words of each new traceback."""
        for file in sorted(self._folder.glob("*-covey-*.log")):
            data = file.read_bytes()[self._read.get(file, 0) :]
            text = data.decode(errors="replace")
            at = text.find(MARK)
            if at >= 0 and len(text) - at < 200:  # still being written, perhaps
                continue
            self._read[file] = self._read.get(file, 0) + len(data)
            while at >= 0:
                words = text[at : at + 3000].splitlines()
                last = next((line for line in words[1:] if line and not line[0].isspace() and "|" not in line[:8]), words[-1])
                yield file.stem, last
                at = text.find(MARK, at + 1)
