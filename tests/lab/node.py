"""One network namespace of the lab: a host, a router, or the internet itself."""

import contextlib
import ipaddress
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tests.lab.link import Link

T = TypeVar("T")
NAMESPACES, RESOLVERS = Path("/run/netns"), Path("/etc/netns")
PAUSE = 0.05  # seconds between two looks at something that we wait for
# Seconds until a wait gives up: how quick a thing is the benches say, on a busy machine it may take long.
PATIENCE = float(os.environ.get("COVEY_LAB_PATIENCE", "120"))
Process = subprocess.Popen[bytes]


class LabError(Exception):
    """The lab could not be built, or a bounded wait in it ran out; the text says which."""


def wait_for(what: str, attempt: Callable[[], T | None], seconds: float = PATIENCE) -> T:
    """Call `attempt` until it returns something true. Raises LabError after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (found := attempt()):
        if time.monotonic() > deadline:
            raise LabError(f"{what}: not within {seconds:g} s")
        time.sleep(PAUSE)
    return found


def command(
    *words: str, stdin: str | None = None, check: bool = True, timeout: float = PATIENCE
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end. Raises LabError with what it said if it failed and `check` is on."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, input=stdin or "", timeout=timeout)
    except subprocess.TimeoutExpired:
        raise LabError(f"{' '.join(words)}: still running after {timeout:g} s") from None
    if check and done.returncode:
        raise LabError(f"{' '.join(words)} ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-600:]}")
    return done


@dataclass(eq=False)
class Node:
    """A namespace and its place in the lab.

    Attributes:
        logs, scratch: where its processes write, and keep what they need only as long as the lab lives.
        address, address6: where others reach it: on the internet, or on the LAN it sits in; empty without that family.
        lan, lan6: how the addresses of the LAN it serves begin (`10.3.0`, `2001:db8:3:`); empty if it serves none.
        place: the router whose LAN it is plugged into.
        guests: how many addresses of its own LAN it has given out.
    """

    name: str
    namespace: str
    logs: Path
    scratch: Path
    address: str = ""
    address6: str = ""
    lan: str = ""
    lan6: str = ""
    place: "Node | None" = None
    guests: int = 1
    processes: list[Process] = field(default_factory=list)
    link: Link | None = None

    def run(
        self, *words: str, stdin: str | None = None, check: bool = True, timeout: float = PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside to its end. Raises LabError if it fails and `check` is on."""
        return command("ip", "netns", "exec", self.namespace, *words, stdin=stdin, check=check, timeout=timeout)

    def script(self, *, ip: Iterable[str] = (), nft: str = "", sysctl: Iterable[str] = ()) -> None:
        """Do it all in one process: `ip` commands, an nftables file, `net.` settings as `ipv4/ip_forward=1`."""
        lines = ["set -e"]
        for setting in sysctl:
            key, _, value = setting.partition("=")
            lines.append(f"echo {value} > /proc/sys/net/{key}")
        if ip_lines := "\n".join(ip):
            lines.append(f"ip -batch - <<'END'\n{ip_lines}\nEND")
        if nft:
            lines.append(f"nft -f - <<'END'\n{nft}\nEND")
        self.run("sh", "-s", stdin="\n".join(lines) + "\n")

    def spawn(self, title: str, *words: str, stdin: int = subprocess.DEVNULL) -> Process:
        """Start a process inside that runs on, in a session of its own; its output goes to `logs/NAME-TITLE.log`."""
        with (self.logs / f"{self.name}-{title}.log").open("ab") as log:
            process = subprocess.Popen(
                ("ip", "netns", "exec", self.namespace, *words), stdout=log, stderr=log, stdin=stdin, start_new_session=True
            )
        self.processes.append(process)
        return process

    def log(self, title: str) -> str:
        """What a spawned process has written so far."""
        return (self.logs / f"{self.name}-{title}.log").read_text(errors="replace")

    def pids(self) -> list[int]:
        return pids_in({self.namespace})

    def answers(self, address: str, within: float = 1.0) -> bool:
        """Say whether one ping to `address` is answered within so many seconds."""
        return self.run("ping", "-n", "-c1", f"-W{within:g}", address, check=False).returncode == 0

    def reaches(self, address: str) -> None:
        """Ping `address` until it answers. Raises LabError if it never does."""
        wait_for(f"{self.name} pings {address}", lambda: self.answers(address))

    def listens(self, port: int) -> bool:
        """Say whether somebody inside listens on a TCP port."""
        return bool(self.run("ss", "-Hltn", f"sport = :{port}").stdout.strip())

    def udp_ports(self) -> set[int]:
        """The UDP ports that somebody inside holds."""
        return {int(line.split()[3].rpartition(":")[2]) for line in self.run("ss", "-Hlun").stdout.splitlines()}

    def forget_connections(self) -> None:
        """Lose the NAT's state, as a router that restarts does."""
        self.run("conntrack", "-F")

    def traffic(self, interface: str = "eth0") -> int:
        """Bytes received and sent on an interface so far."""
        counters: dict[str, Any] = json.loads(self.run("ip", "-j", "-s", "link", "show", interface).stdout)[0]["stats64"]
        return int(counters["rx"]["bytes"]) + int(counters["tx"]["bytes"])

    @property
    def resolver(self) -> Path:
        return RESOLVERS / self.namespace / "resolv.conf"

    def snapshot(self) -> dict[str, list[str]]:
        """All that a well-behaved guest leaves as it found it: links, addresses, routes, rules, firewall, resolver."""
        asked = {
            "links": "ip -o link | cut -d: -f2 | cut -d@ -f1",
            "addresses": "ip -o addr | awk '{print $2, $4}'",
            "routes": "ip -4 route show table all; ip -6 route show table all",
            "rules": "ip rule; ip -6 rule",
            "firewall": "nft -s list ruleset",
            "resolver": "cat /etc/resolv.conf",
        }
        answers = self.run("sh", "-c", "; echo '=='; ".join(asked.values())).stdout.split("==\n")
        found = {what: answer.splitlines() for what, answer in zip(asked, answers, strict=True)}
        found["routes"] = [line.split(" expires")[0] for line in found["routes"]]
        return {what: lines if what == "firewall" else sorted(line.strip() for line in lines) for what, lines in found.items()}

    def prefixes6(self) -> list[str]:
        """What stands for this node in a rule about IPv6: its own address and the LAN behind it."""
        return ([self.address6] if self.address6 else []) + ([str(ipaddress.ip_network(f"{self.lan6}:/64"))] if self.lan6 else [])


def pids_in(namespaces: set[str]) -> list[int]:
    """Every process that lives in one of these namespaces."""
    inodes = set()
    for name in namespaces:
        with contextlib.suppress(OSError):
            inodes.add((NAMESPACES / name).stat().st_ino)
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "ns/net").stat().st_ino in inodes and int(entry.name) != os.getpid():
                found.append(int(entry.name))
    return found


def end(process: Process, patience: float = 10.0) -> None:
    """Ask a process to end, then make it; what is left of its session goes too."""
    process.terminate()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(PATIENCE)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def remove(namespaces: set[str]) -> None:
    """End every process inside and delete the namespaces with their resolver files."""
    if not namespaces:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        living = pids_in(namespaces)
        for pid in living:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        if living:
            with contextlib.suppress(LabError):
                wait_for("processes end", lambda: not pids_in(namespaces), 3)
    command("ip", "-force", "-batch", "-", stdin="".join(f"netns del {name}\n" for name in sorted(namespaces)), check=False)
    for name in namespaces:
        shutil.rmtree(RESOLVERS / name, ignore_errors=True)
    with contextlib.suppress(OSError):
        RESOLVERS.rmdir()  # only if it is empty
