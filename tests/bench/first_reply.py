"""Ping an address every few milliseconds and print when (CLOCK_MONOTONIC) the first reply came: `first_reply.py IP SECONDS`.

It may start before there is a route: that is what it waits for. The clock is the machine's, so other processes can compare.
"""

import contextlib
import os
import select
import socket
import struct
import sys
import time

INTERVAL = 0.01  # seconds
ECHO_REQUEST, ECHO_REPLY = 8, 0


def checksum(data: bytes) -> int:
    """RFC 1071, for an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def echo_request(identifier: int, sequence: int) -> bytes:
    header = struct.pack("!BBHHH", ECHO_REQUEST, 0, 0, identifier, sequence)
    return struct.pack("!BBHHH", ECHO_REQUEST, 0, checksum(header), identifier, sequence)


def first_reply(address: str, patience: float) -> float | None:
    identifier, sequence = os.getpid() & 0xFFFF, 0
    deadline = time.monotonic() + patience
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as endpoint:
        while time.monotonic() < deadline:
            sequence = (sequence + 1) & 0xFFFF
            with contextlib.suppress(OSError):  # no route yet
                endpoint.sendto(echo_request(identifier, sequence), (address, 0))
            while select.select([endpoint], [], [], INTERVAL)[0]:
                packet, (source, _) = endpoint.recvfrom(1500)
                header = (packet[0] & 15) * 4
                kind, _, _, ours, _ = struct.unpack_from("!BBHHH", packet, header)
                if source == address and kind == ECHO_REPLY and ours == identifier:
                    return time.monotonic()
    return None


if __name__ == "__main__":
    print(first_reply(sys.argv[1], float(sys.argv[2])))
