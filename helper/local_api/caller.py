"""Asks the kernel who is at the other end of a Unix socket, and the system which groups that is in and who sits at the screen."""

import errno
import grp
import os
import pwd
import socket
import struct
import sys
from pathlib import Path
from typing import Protocol

from helper.local_api.permissions import GROUP, Caller, Standing, is_trusted

assert sys.platform != "win32"  # mypy leaves the file out there

SO_PEERGROUPS = 59  # Linux 4.13: the supplementary groups of whoever connected, an array of u32
MAX_GROUPS = 65536  # Linux's NGROUPS_MAX
SOL_LOCAL, LOCAL_PEERCRED = 0, 1  # macOS; struct xucred: u32 version, u32 uid, i16 number of groups, 16 u32 groups


SEAT = Path("/run/systemd/seats/seat0")  # systemd-logind's note of the first seat, which only it writes
MAX_NOTE = 64 * 1024  # bytes of it


class Connection(Protocol):
    """A connected Unix socket, or what an event loop shows of one (uvloop's has no getsockopt)."""

    def fileno(self) -> int: ...


def caller_of(connection: Connection) -> Caller:
    """Who connected, as it was at that moment. Raises OSError if the kernel does not say."""
    with socket.socket(fileno=os.dup(connection.fileno())) as own:
        if sys.platform == "linux":
            _, uid, gid = struct.unpack("iII", own.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            return Caller(uid, frozenset({gid, *_supplementary_groups(own)}))
        raw = own.getsockopt(SOL_LOCAL, LOCAL_PEERCRED, 76)
        _, uid, count = struct.unpack_from("IIh", raw)
        return Caller(uid, frozenset(struct.unpack_from(f"{min(max(count, 0), 16)}I", raw, 12)))


def standing_of(caller: Caller) -> Standing:
    """What the caller is to this machine. May wait for the network, where the databases of users may be."""
    if caller.uid in (0, os.geteuid()):
        return Standing(is_trusted=True)
    return Standing(caller.uid, is_trusted=_is_member(caller))


def user_at_screen() -> int | None:
    """The user of the active session at the screen; None where there is none or nobody keeps account of it."""
    try:
        with SEAT.open("rb") as note:
            lines = note.read(MAX_NOTE).splitlines()
        return next((int(line[11:]) for line in lines if line.startswith(b"ACTIVE_UID=")), None)
    except (OSError, ValueError):
        return None


def _is_member(caller: Caller) -> bool:
    """Say whether the caller belongs to the group `covey`, now or when its session began."""
    try:
        group = grp.getgrnam(GROUP)
        return is_trusted(caller, os.geteuid(), group.gr_gid) or pwd.getpwuid(caller.uid).pw_name in group.gr_mem
    except (KeyError, OSError):
        return False


def _supplementary_groups(connection: socket.socket) -> tuple[int, ...]:
    try:
        raw = connection.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, 4 * 256)
    except OSError as error:
        if error.errno != errno.ERANGE:
            return ()  # an older kernel
        raw = connection.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, 4 * MAX_GROUPS)
    return struct.unpack(f"{len(raw) // 4}I", raw)
