import asyncio
import contextlib
from pathlib import Path

import pytest

from server.front_door.sources import connect_as
from server.web.app import make_app
from server.web.serve import MAX_CONNECTIONS, serving_web


async def ask(socket: Path, request_line: str) -> tuple[str, str]:
    """Head and body of the answer."""
    async with serving_web(make_app(), socket, None), asyncio.timeout(20):
        reader, writer = await asyncio.open_unix_connection(socket)
        writer.write(f"{request_line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
        writer.close()
        return head, body


async def test_health_says_ok(tmp_path: Path) -> None:
    head, body = await ask(tmp_path / "web", "GET /api/health")
    assert head.startswith("HTTP/1.1 200")
    assert body.startswith('{"status":"ok","version":')


async def test_the_landing_page_says_how_to_join_and_runs_no_scripts(tmp_path: Path) -> None:
    head, body = await ask(tmp_path / "web", "GET /")
    assert "covey up --join" in body
    assert "<script" not in body
    assert "content-security-policy: default-src 'none'; style-src 'self'" in head
    assert "server:" not in head


@pytest.mark.parametrize("request_line", ["GET /absent", "POST /", "GET /docs", "GET /openapi.json"])
async def test_there_is_nothing_else(tmp_path: Path, request_line: str) -> None:
    head, _ = await ask(tmp_path / "web", request_line)
    assert head.split()[1] in ("404", "405")
    assert "content-security-policy" in head


async def test_one_address_with_slow_connections_keeps_nobody_else_out(tmp_path: Path) -> None:
    async with serving_web(make_app(), tmp_path / "web", None), asyncio.timeout(60):
        slow = []
        for _ in range(MAX_CONNECTIONS):
            sock = await connect_as(bytes([203, 0, 113, 66]), tmp_path / "web")
            _, writer = await asyncio.open_unix_connection(sock=sock)
            with contextlib.suppress(OSError):
                writer.write(b"GET / HTTP/1.1\r\n")
            slow.append(writer)
        sock = await connect_as(bytes([198, 51, 100, 1]), tmp_path / "web")
        reader, writer = await asyncio.open_unix_connection(sock=sock)
        writer.write(b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        for one in (*slow, writer):
            one.close()
