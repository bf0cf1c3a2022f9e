"""What a client gets that came with the wrong protocol: one plain sentence over HTTP/1.1, then the end."""

import asyncio
import contextlib
import socket

TLS_ONLY = "This server speaks TLS: use https:// in its address."
PLAIN_ONLY = "This server runs without TLS: use http:// in its address."
GOODBYE_TIMEOUT = 2.0  # seconds for the client to read it and close
MAX_UNREAD = 65536  # bytes of its request that we take in before we answer


def response(sentence: str) -> bytes:
    """A whole `400 Bad Request` with the sentence as its body."""
    body = sentence.encode() + b"\n"
    head = f"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + body


async def refuse(sock: socket.socket, sentence: str) -> None:
    """Answer and close. What the client sent is read first: closing over unread bytes would reset its answer away."""
    loop = asyncio.get_running_loop()
    with sock, contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(GOODBYE_TIMEOUT):
            await loop.sock_recv(sock, MAX_UNREAD)
            await loop.sock_sendall(sock, response(sentence))
            sock.shutdown(socket.SHUT_WR)
            taken = 0
            while taken < MAX_UNREAD and (more := await loop.sock_recv(sock, MAX_UNREAD)):
                taken += len(more)
