"""Names are looked up, and a resolver that is silent holds nobody up."""

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest

from helper.names import AT_ONCE, look_up

BOUND = 30.0  # seconds; generous, only reached when something hangs


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A resolver that answers nobody until the test is over; the names that it was asked for."""
    freed, asked = threading.Event(), list[str]()

    def getaddrinfo(host: str, *_: object, **__: object) -> list[object]:
        asked.append(host)
        freed.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield asked
    freed.set()
    for thread in threading.enumerate():
        if thread.name.startswith("look up"):
            thread.join(BOUND)


async def give_up_on(host: str) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await look_up(host)


async def test_literals_are_their_own_address() -> None:
    assert [str(ip) for ip in await look_up("192.0.2.1")] == ["192.0.2.1"]


async def test_what_is_no_name_is_an_error_of_its_own() -> None:
    with pytest.raises((OSError, ValueError)):
        await look_up("a" * 300)


async def test_lookups_that_hang_leave_the_shared_threads_alone(silent: list[str]) -> None:
    for number in range(AT_ONCE):
        await give_up_on(f"{number}.example")
    async with asyncio.timeout(BOUND):
        assert await asyncio.to_thread(lambda: "free") == "free"


async def test_one_call_serves_all_who_ask_for_a_name_and_no_more_than_so_many_names_at_a_time(silent: list[str]) -> None:
    for number in range(AT_ONCE):
        for _ in range(3):
            await give_up_on(f"{number}.example")
    with pytest.raises(socket.gaierror):
        await look_up("one-more.example")
    assert sorted(silent) == sorted(f"{number}.example" for number in range(AT_ONCE))
