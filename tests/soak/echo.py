"""Ping several addresses once a second from inside a namespace and print what comes back: `echo.py ADDRESS=BYTES...`.

Each answer is a line `ADDRESS SENT` with the moment of the request on CLOCK_MONOTONIC. BYTES is the ICMP payload, by which the
tunnel's packets are told apart where the server would carry them.
"""

import contextlib
import os
import select
import socket
import struct
import sys
import time

INTERVAL = 1.0  # seconds
ECHO_REQUEST, ECHO_REPLY = 8, 0
LONGEST_ROUND_TRIP = 5.0  # seconds; a later answer counts as none


def checksum(data: bytes) -> int:
    """RFC 1071, for an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def request(identifier: int, sequence: int, size: int) -> bytes:
    """The payload begins with the moment of sending; `size` is even and at least 8."""
    payload = struct.pack("!d", time.monotonic()) + bytes(size - 8)
    header = struct.pack("!BBHHH", ECHO_REQUEST, 0, 0, identifier, sequence)
    return struct.pack("!BBHHH", ECHO_REQUEST, 0, checksum(header + payload), identifier, sequence) + payload


def main() -> None:
    targets = {address: int(size) for address, _, size in (word.partition("=") for word in sys.argv[1:])}
    identifier, sequence, due = os.getpid() & 0xFFFF, 0, time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as endpoint:
        endpoint.setblocking(False)
        while True:
            if time.monotonic() >= due:
                due, sequence = max(due + INTERVAL, time.monotonic()), (sequence + 1) & 0xFFFF
                for address, size in targets.items():
                    with contextlib.suppress(OSError):  # no route just now
                        endpoint.sendto(request(identifier, sequence, size), (address, 0))
            if select.select([endpoint], [], [], max(0.0, due - time.monotonic()))[0]:
                packet, (source, _) = endpoint.recvfrom(2000)
                header = (packet[0] & 15) * 4
                kind, _, _, ours, _ = struct.unpack_from("!BBHHH", packet, header)
                if kind == ECHO_REPLY and ours == identifier and source in targets:
                    (sent,) = struct.unpack_from("!d", packet, header + 8)
                    if time.monotonic() - sent < LONGEST_ROUND_TRIP:
                        print(source, sent, flush=True)


if __name__ == "__main__":
    main()
