"""Our table in nftables. It is written by `nft`; looking at it asks the kernel directly, which costs microseconds.

Layout of netlink's messages (netfilter/nfnetlink.h): nlmsghdr; nfgenmsg: family (u8), version (u8), resource (u16); attributes.
"""

import asyncio
import errno
import os
import shutil
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

from helper.firewall.firewall import FirewallRefused, table_name, table_text

assert sys.platform == "linux"

NETLINK_NETFILTER = 12
GET_RULE, NEW_RULE = 0x0A07, 0x0A06  # subsystem nftables, then the message (netfilter/nf_tables.h)
REQUEST_DUMP = 0x0301
DONE, ERROR = 3, 2
FAMILY_INET = 1  # NFPROTO_INET
RULE_TABLE, RULE_CHAIN, RULE_EXPRESSIONS = 1, 2, 4  # NFTA_RULE_*
HEADER = struct.Struct("=IHHII")
ATTRIBUTE = struct.Struct("=HH")
READ_SIZE = 1 << 16
ANSWER_TIMEOUT = 1.0  # seconds; the kernel answers within the call
NFT_TIMEOUT = 10.0  # seconds
FORWARDING = (Path("/proc/sys/net/ipv4/ip_forward"), Path("/proc/sys/net/ipv6/conf/all/forwarding"))

Rules = list[tuple[bytes, bytes]]  # chain and expressions of each


class LinuxFirewall:
    """See `Firewall`."""

    def __init__(self, interface: str) -> None:
        self._interface, self._table = interface, table_name(interface)
        self._put: Rules | None = None

    async def put(self) -> None:
        await run_nft(table_text(self._interface))
        try:
            self._put = read_rules(self._table)
        except OSError:
            self._put = None  # it is there, and will not be looked at

    async def remove(self) -> None:
        await remove_table(self._table)

    def is_there(self) -> bool:
        return has_rules(self._table)

    def is_intact(self) -> bool:
        return self._put is None or read_rules(self._table) == self._put

    def is_needed(self) -> bool:
        for switch in FORWARDING:
            try:
                if switch.read_text().strip() != "0":
                    return True
            except OSError:
                continue
        return False


async def remove_table(name: str) -> bool:
    """Remove a table of ours; False if there was nothing in it. Raises FirewallRefused."""
    was_there = has_rules(name)
    await run_nft(f"table inet {name}\ndelete table inet {name}\n")
    return was_there


async def run_nft(text: str) -> None:
    """Carry out a file in nft's language, whole or not at all. Raises FirewallRefused with what nft said."""
    program = shutil.which("nft", path=os.pathsep.join((*os.get_exec_path(), "/usr/sbin", "/sbin")))
    if program is None:
        raise FirewallRefused("the program nft is not installed")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(program, "-f", "-", stdin=pipe, stdout=asyncio.subprocess.DEVNULL, stderr=pipe)
    try:
        async with asyncio.timeout(NFT_TIMEOUT):
            _, said = await process.communicate(text.encode())
    except TimeoutError:
        raise FirewallRefused(f"nft did not end within {NFT_TIMEOUT:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        first = next((line for line in said.decode(errors="replace").splitlines() if line.strip()), "no reason")
        raise FirewallRefused(f"nftables refused our table: {first.strip()[:200]}")


def has_rules(table: str) -> bool:
    """Say whether a table has rules; False too if the kernel does not tell."""
    try:
        return bool(read_rules(table))
    except OSError:
        return False


def read_rules(table: str) -> Rules:
    """The rules of an `inet` table; none for a table that is not there. Raises OSError."""
    name = table.encode() + b"\0"
    attribute = ATTRIBUTE.pack(ATTRIBUTE.size + len(name), RULE_TABLE) + name + bytes(-len(name) % 4)
    body = struct.pack("=BBH", FAMILY_INET, 0, 0) + attribute
    rules: Rules = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as asking:
        asking.settimeout(ANSWER_TIMEOUT)
        asking.bind((0, 0))
        asking.send(HEADER.pack(HEADER.size + len(body), GET_RULE, REQUEST_DUMP, 1, 0) + body)
        while True:
            for kind, message in _messages(asking.recv(READ_SIZE)):
                if kind == DONE:
                    return rules
                if kind == ERROR:
                    code = -struct.unpack_from("=i", message)[0]
                    raise OSError(code, os.strerror(code))
                if kind == NEW_RULE:
                    attributes = dict(_attributes(message[4:]))
                    rules.append((attributes.get(RULE_CHAIN, b""), attributes.get(RULE_EXPRESSIONS, b"")))


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + HEADER.size <= len(data):
        length, kind, *_ = HEADER.unpack_from(data, at)
        if not HEADER.size <= length <= len(data) - at:
            raise OSError(errno.EBADMSG, "a netlink message is longer than its datagram")
        yield kind, data[at + HEADER.size : at + length]
        at += -(-length // 4) * 4


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + ATTRIBUTE.size <= len(data):
        length, kind = ATTRIBUTE.unpack_from(data, at)
        if not ATTRIBUTE.size <= length <= len(data) - at:
            raise OSError(errno.EBADMSG, "a netlink attribute is longer than its message")
        yield kind & 0x3FFF, data[at + ATTRIBUTE.size : at + length]
        at += -(-length // 4) * 4
