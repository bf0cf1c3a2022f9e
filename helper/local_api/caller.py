"""Asks the kernel who is at the other end of a Unix socket."""

import grp
import os
import pwd
import socket
import struct

from helper.local_api.permissions import Caller


def caller_of(connection: socket.socket) -> Caller:
    """The peer of a connected Unix socket. Raises OSError if the kernel does not say."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, gid = struct.unpack("3i", credentials)
    return Caller(uid, _groups(uid, gid))


def _groups(uid: int, gid: int) -> frozenset[str]:
    try:
        user = pwd.getpwuid(uid)
        numbers = {gid, *os.getgrouplist(user.pw_name, user.pw_gid)}
    except KeyError:
        numbers = {gid}
    names: set[str] = set()
    for number in numbers:
        try:
            names.add(grp.getgrgid(number).gr_name)
        except KeyError:
            continue
    return frozenset(names)
