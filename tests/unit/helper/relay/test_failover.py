"""Two relay servers, of which one falls silent: the other takes over, and what is said of both is true."""

import asyncio
import pathlib
import signal

import pytest

from helper.relay.relay import Relay
from tests.unit.helper.relay.coturn import needs_coturn, running_coturn, running_site

pytestmark = needs_coturn


def _state(relay: Relay) -> dict[str, bool]:
    return {known.way.host: known.is_available for known in relay.known}


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_a_relay_that_dies_under_traffic_is_replaced_by_the_other(tmp_path: pathlib.Path, how: str) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    async with running_coturn(tmp_path / "one") as one, running_coturn(tmp_path / "two") as two, running_site() as site:
        servers = one.server(), two.server(host="localhost")
        site.relay.configure(servers, None)
        await site.allocated()
        await site.until(lambda relay: relay.server == servers[0])
        await site.wake_peer()
        assert one.process is not None
        if how == "killed":
            one.process.kill()
        else:
            one.process.send_signal(signal.SIGSTOP)  # as a black hole, no ICMP either
        path = site.relay.open_path(site.peer.address)

        async def traffic() -> None:
            while True:
                site.wireguard.send(b"\x04data", path.endpoint)
                site.relay.send_stun(bytes.fromhex("000100002112a442") + bytes(12), site.peer.address)
                await asyncio.sleep(0.02)

        flowing = asyncio.create_task(traffic())
        await site.until(lambda relay: relay.server == servers[1])
        flowing.cancel()
        assert _state(site.relay) == {"127.0.0.1": False, "localhost": True}
        assert all((known.round_trip or 0.0) > 0.0 for known in site.relay.known)
