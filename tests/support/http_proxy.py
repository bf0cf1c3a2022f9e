"""A small CONNECT proxy: `python -m tests.support.http_proxy ADDRESS PORT [USER:PASSWORD]`, or inside a test.

It lets through to the ports of the web's TLS alone, as Squid does, unless told otherwise. Of each request it says on
a line from where it came, to where it led, and the status.
"""

import argparse
import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Collection, Mapping

LINGER = 5.0  # seconds that tunnels get to end at the end
SENTENCES = {403: "Forbidden", 407: "Proxy Authentication Required", 502: "Bad Gateway"}


class ConnectProxy:
    """Attributes:
    asked: the targets of all requests, as `HOST:PORT`.
    authorized: what Proxy-Authorization said, each time.

    Args:
        login: `USER:PASSWORD` that is wanted; empty: none.
        ports: that it lets through to; None: any.
        places: where it finds hosts of these names.
    """

    def __init__(self, login: str = "", ports: Collection[int] | None = None, places: Mapping[str, str] | None = None) -> None:
        self.asked: list[str] = []
        self.authorized: list[str] = []
        self.port = 0
        self._tasks: set[asyncio.Task[object]] = set()
        self._login, self._ports, self._places = login, ports, places or {}

    @contextlib.asynccontextmanager
    async def serving(self, address: str = "127.0.0.1", port: int = 0) -> AsyncIterator["ConnectProxy"]:
        server = await asyncio.start_server(self._serve, address, port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            if self._tasks:  # they end by themselves once both ends of each tunnel have closed
                await asyncio.wait(self._tasks, timeout=LINGER)
            for task in self._tasks:
                task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._answer(reader, writer)
        finally:
            await _close(writer)
            self._tasks.discard(task)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        target = first.split(" ")[1]
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        host, _, port = target.rpartition(":")
        said = f"{writer.get_extra_info('peername')[0]} {target}"
        self.asked.append(target)
        self.authorized.append(fields.get("proxy-authorization", ""))
        wanted = "Basic " + base64.b64encode(self._login.encode()).decode() if self._login else ""
        if wanted and self.authorized[-1] != wanted:
            await _refuse(writer, 407, said, 'Proxy-Authenticate: Basic realm="office"\r\n')
            return
        if self._ports is not None and int(port) not in self._ports:
            await _refuse(writer, 403, said)
            return
        try:
            there, back = await asyncio.open_connection(self._places.get(host, host.strip("[]")), int(port))
        except OSError:
            await _refuse(writer, 502, said)
            return
        print(f"{said} 200", flush=True)
        writer.write(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n")
        try:
            await asyncio.gather(_copy(reader, back), _copy(there, writer))
        finally:
            await _close(back)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _refuse(writer: asyncio.StreamWriter, status: int, said: str, fields: str = "") -> None:
    print(f"{said} {status}", flush=True)
    page = f"<html>{SENTENCES[status]}</html>"
    writer.write(f"HTTP/1.1 {status} {SENTENCES[status]}\r\n{fields}Content-Length: {len(page)}\r\n\r\n{page}".encode())
    await writer.drain()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()


async def _run(address: str, port: int, login: str) -> None:
    async with ConnectProxy(login, ports=(443,)).serving(address, port):
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("login", nargs="?", default="")
    chosen = parser.parse_args()
    asyncio.run(_run(chosen.address, chosen.port, chosen.login))
