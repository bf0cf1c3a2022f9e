"""A program of another user: asks the local API, and prints what comes back as JSON.

Usage: stranger.py UID GIDS SOCKET METHOD PATH [CONNECTIONS [BODY]]: GIDS are comma-separated. With CONNECTIONS it keeps that
many open at once instead, and prints how many of them are answered.
"""

import json
import os
import socket
import sys


def connect(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(20)
    connection.connect(path)
    return connection


def exchange(connection: socket.socket, method: str, path: str, *more: str, body: str = "") -> bytes:
    """The whole answer; empty if the other side hangs up."""
    head = [f"{method} {path} HTTP/1.1", "Host: helper", f"Content-Length: {len(body.encode())}", *more, "", body]
    try:
        connection.sendall("\r\n".join(head).encode())
        answer = connection.recv(65536)
        while "Connection: close" in more and (data := connection.recv(65536)):
            answer += data
    except ConnectionError:
        return b""
    return answer


def main(uid: str, gids: str, path: str, method: str, asked: str, connections: str = "", body: str = "") -> None:
    groups = [int(gid) for gid in gids.split(",")]
    os.setgroups(groups[1:])
    os.setgid(groups[0])
    os.setuid(int(uid))
    if connections:
        held = [connect(path) for _ in range(int(connections))]
        answers = [exchange(connection, method, asked) for connection in held]
        print(json.dumps(sum(answer.startswith(b"HTTP/1.1 200") for answer in answers)))
        return
    head, _, answer = exchange(connect(path), method, asked, "Connection: close", body=body).partition(b"\r\n\r\n")
    print(json.dumps([int(head.split()[1]), json.loads(answer)]))


main(*sys.argv[1:])
