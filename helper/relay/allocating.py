"""Get an allocation from the first of many servers, at the first of its addresses, that gives one."""

import asyncio
import functools
from dataclasses import dataclass

from helper.http_proxy.dial import Place
from helper.relay import connect
from helper.relay.errors import RelayUnreachable, reached
from helper.relay.health import Health
from helper.relay.race import first_success
from helper.relay.servers import PREFERENCE, TurnServer
from helper.relay.session import Mismatch, Owner, Session
from protocol.errors import CoveyError


@dataclass(frozen=True, slots=True)
class Asking:
    """Attributes:
    avoided: the host to try last.
    fingerprint, room, fwmark: as for `Relay` and `Session`.
    """

    owner: Owner
    health: Health
    avoided: str
    fingerprint: bytes | None
    room: memoryview
    fwmark: int


async def allocate(servers: tuple[TurnServer, ...], asking: Asking) -> Session:
    """Raises CoveyError, the most telling of all."""
    ordered = sorted(servers, key=lambda server: (server.host == asking.avoided, PREFERENCE.index(server.transport)))
    return await first_success([functools.partial(_allocate_on, server, asking) for server in ordered], discard=Session.discard)


async def _allocate_on(server: TurnServer, asking: Asking) -> Session:
    try:
        places = await connect.resolve(server)
        return await first_success(
            [functools.partial(_allocate_at, server, place, asking) for place in places],
            discard=Session.discard,
        )
    except CoveyError as error:
        asking.health.fails(server, str(error), asyncio.get_running_loop().time(), reached(error))
        raise


async def _allocate_at(server: TurnServer, place: Place, asking: Asking) -> Session:
    for _ in range(2):
        session = Session(server, asking.owner, asking.room, asking.fwmark)
        try:
            await session.open(place, asking.fingerprint)
        except Mismatch:
            continue
        return session
    raise RelayUnreachable(f"the relay {server} does not let go of an old allocation")
