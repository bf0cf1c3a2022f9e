"""Ask a STUN or TURN server for a sign of life: a Binding request, which needs no credentials and leaves nothing there."""

import asyncio
import functools
from contextlib import suppress

from helper.http_proxy.dial import Place
from helper.ice import binding
from helper.relay.connect import connect_stream, connect_udp, resolve
from helper.relay.datagrams import Frame
from helper.relay.errors import Reached, RelayUnreachable
from helper.relay.path import Link
from helper.relay.race import first_success
from helper.relay.servers import TurnServer

TRIES = (0.25, 0.5, 1.0, 1.5)  # seconds that each waits for an answer over UDP
RELIABLE_TRIES = (5.0,)


async def probe(server: TurnServer, fingerprint: bytes | None, room: memoryview, fwmark: int) -> float:
    """The round trip in seconds. Raises RelayUnreachable or what is wrong with the certificate.

    Args:
        fingerprint: as for `Relay.configure`.
        room: where datagrams are read to.
    """
    places = await resolve(server)
    asking = [functools.partial(_ask, server, place, fingerprint, room, fwmark) for place in places]
    return await first_success(asking, discard=lambda _: None)


async def _ask(server: TurnServer, place: Place, fingerprint: bytes | None, room: memoryview, fwmark: int) -> float:
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[float] = loop.create_future()
    asked: dict[bytes, float] = {}

    def on_frames(view: memoryview, frames: list[Frame]) -> None:
        for offset, size in frames:
            at = asked.get(bytes(view[offset + 8 : offset + 20])) if size >= 20 else None
            if at is not None and not answered.done():
                answered.set_result(loop.time() - at)

    def on_lost() -> None:
        if not answered.done():
            answered.set_exception(RelayUnreachable(f"nobody listens at the relay {server}", reached=Reached.REFUSED))

    link: Link
    if server.transport == "udp":
        link = connect_udp(server, place, room, on_frames, on_lost, fwmark)
    else:
        link = await connect_stream(server, place, on_frames, on_lost, fwmark, fingerprint)
    try:
        for seconds in TRIES if server.transport == "udp" else RELIABLE_TRIES:
            transaction, data = binding.plain_request()
            asked[transaction] = loop.time()
            link.send(data)
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    return await asyncio.shield(answered)
        raise RelayUnreachable(f"the relay {server} does not answer")
    finally:
        link.close()
        answered.cancel()
        if not answered.cancelled():
            answered.exception()  # seen
