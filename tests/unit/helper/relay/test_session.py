"""What a session says when its connection goes while it opens, and what it no longer says when nobody waits for it."""

import asyncio
import gc
import ipaddress
from typing import Any

import pytest

from helper.relay import session as module
from helper.relay.errors import RelayUnreachable
from helper.relay.servers import TurnServer
from helper.relay.session import Session
from protocol.addresses import Address
from protocol.errors import CoveyError

ADDRESS = Address(ipaddress.ip_address("192.0.2.1"), 3478)
SERVER = TurnServer("192.0.2.1", 3478, "tcp", "name", "password")


class Owner:
    def __init__(self) -> None:
        self.lost: list[CoveyError] = []

    def on_bound(self, session: Session, peer: Address, channel: int) -> None: ...
    def on_unbound(self, session: Session, peer: Address) -> None: ...
    def on_data(self, peer: Address, data: bytes, now: float) -> None: ...
    def on_doubtful(self, session: Session) -> None: ...
    def on_lost(self, session: Session, error: CoveyError) -> None:
        self.lost.append(error)


class Link:
    """A connection that takes everything and answers nothing."""

    local = Address(ipaddress.ip_address("192.0.2.2"), 50000)

    def send(self, data: bytes) -> None: ...
    def close(self) -> None: ...


class Connecting:
    """In place of `connect_stream`: connected when the test says so, lost when it calls `on_lost`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.began, self.done = asyncio.Event(), asyncio.Event()
        monkeypatch.setattr(module, "connect_stream", self._connect)

    async def _connect(self, server: object, address: object, on_frames: object, on_lost: Any, *_: object) -> Link:
        self.on_lost = on_lost
        self.began.set()
        await self.done.wait()
        return Link()


async def test_a_connection_that_closes_before_the_answer_fails_the_opening_once(monkeypatch: pytest.MonkeyPatch) -> None:
    connecting, owner = Connecting(monkeypatch), Owner()
    session = Session(SERVER, owner, memoryview(bytearray(2048)), 0)
    opening = asyncio.create_task(session.open(ADDRESS, None))
    connecting.done.set()
    await connecting.began.wait()
    connecting.on_lost()
    connecting.on_lost()
    with pytest.raises(RelayUnreachable):
        await opening
    connecting.on_lost()
    assert owner.lost == []


@pytest.mark.parametrize("first", ["given up", "lost"])
async def test_a_session_that_was_given_up_while_it_connected_says_nothing(monkeypatch: pytest.MonkeyPatch, first: str) -> None:
    said: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: said.append(context))
    owner = Owner()
    await give_up(Connecting(monkeypatch), owner, is_lost_first=first == "lost")
    gc.collect()
    assert (said, owner.lost) == ([], [])


async def give_up(connecting: Connecting, owner: Owner, *, is_lost_first: bool) -> None:
    """Leave nothing behind that refers to the session, so that what nobody awaited is told of."""
    session = Session(SERVER, owner, memoryview(bytearray(2048)), 0)
    opening = asyncio.create_task(session.open(ADDRESS, None))
    await connecting.began.wait()
    if is_lost_first:
        connecting.on_lost()
    opening.cancel()
    await asyncio.wait([opening])
    assert opening.cancelled()
    connecting.on_lost()
    del connecting.on_lost
