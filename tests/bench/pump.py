"""Move as many bytes as a path carries, as cheaply as Linux can: `pump.py sink IP PORT`, `pump.py pour IP PORT SECONDS`.

The source is `sendfile` from memory, the sink lets the kernel throw the bytes away (MSG_TRUNC), so that two cores are left for
the tunnel that is measured. The sink prints Mbit/s from the first byte to the last.
"""

import os
import socket
import sys
import time

BLOCK = 1 << 24  # bytes


def sink(address: str, port: int) -> None:
    with socket.create_server((address, port)) as listener:
        listener.settimeout(30)
        connection, _ = listener.accept()
    with connection:
        connection.settimeout(30)
        count = len(connection.recv(1))
        began = time.monotonic()
        scratch = bytearray(1 << 20)
        while got := connection.recv_into(scratch, len(scratch), socket.MSG_TRUNC):
            count += got
        print(count * 8 / (time.monotonic() - began) / 1e6, flush=True)


def pour(address: str, port: int, seconds: float) -> None:
    source = os.memfd_create("source")
    os.ftruncate(source, BLOCK)
    with socket.create_connection((address, port), 10) as connection:
        connection.settimeout(None)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            os.sendfile(connection.fileno(), source, 0, BLOCK // 16)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["sink", ip, number]:
            sink(ip, int(number))
        case ["pour", ip, number, length]:
            pour(ip, int(number), float(length))
        case _:
            sys.exit(__doc__)
