"""UDP ports of this machine: a free one for WireGuard, and who holds one that is not (Linux)."""

import errno
import os
import random
import socket
from pathlib import Path

from protocol.errors import PortTaken

FIRST, LAST = 49152, 65535  # RFC 6335, section 6: private ports
ATTEMPTS = 50
PROC = Path("/proc")


def is_free(port: int) -> bool:
    """Say whether WireGuard could bind this port, for IPv4 and, where there is IPv6, for that."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(("", port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
    return True


def choose_port(wanted: int) -> int:
    """The wanted port, or for 0 a random free one: two machines behind one NAT then seldom share it.

    Raises PortTaken with the port and, if it can be found out, the program that holds it.
    """
    if wanted:
        if not is_free(wanted):
            raise port_taken(wanted)
        return wanted
    for _ in range(ATTEMPTS):
        port = random.randint(FIRST, LAST)
        if is_free(port):
            return port
    raise PortTaken(f"no free UDP port was found from {FIRST} to {LAST}")


def port_taken(port: int) -> PortTaken:
    holder = find_holder(port)
    return PortTaken(f"UDP port {port} is taken" + (f" by {holder}" if holder else ""))


def find_holder(port: int) -> str | None:
    """The program that has bound a UDP port, as `name (process 123)`; None if it hides, as a kernel's or container's does."""
    wanted = {f"socket:[{inode}]" for inode in bound_sockets(port)}
    if not wanted:
        return None
    for process in PROC.iterdir():
        if not process.name.isdigit():
            continue
        try:
            if any(os.readlink(descriptor) in wanted for descriptor in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (process {process.name})"
        except OSError:
            continue  # it has just ended, or is not ours to look into
    return None


def bound_sockets(port: int) -> list[int]:
    """The inodes of the sockets bound to a UDP port in our network namespace; a kernel's socket has inode 0."""
    inodes = []
    for table in ("udp", "udp6"):
        try:
            lines = (PROC / "thread-self/net" / table).read_text().splitlines()[1:]
        except OSError:  # no IPv6
            continue
        for line in lines:
            fields = line.split()
            try:
                if int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.append(int(fields[9]))
            except (IndexError, ValueError):
                continue
    return inodes
