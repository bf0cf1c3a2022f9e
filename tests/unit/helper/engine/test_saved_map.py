"""A helper that starts without its server: which saved map it uses, and what it says about that."""

import pathlib

from helper.saved_map import unpack
from protocol.local_api import UpRequest
from tests.unit.helper.engine.conftest import Clock, Machine, Server, started, token, until

DAY = 86400


async def joined(path: pathlib.Path, server: Server, clock: Clock) -> None:
    """A machine that was connected until now, and whose server went away then."""
    server.tokens.add(token())
    async with started(path) as engine:
        await engine.up(UpRequest(join_link=server.link, jwt=token()))
        data, vouched = unpack((path / "network-map").read_bytes())  # at once: nobody waited
        assert data
        assert vouched == clock.now
        assert engine.status()["networkMapAge"] == 0
    await server.end()


async def test_the_age_of_a_saved_map_counts_over_restarts(
    machine: Machine, tmp_path: pathlib.Path, server: Server, clock: Clock
) -> None:
    await joined(tmp_path / "state", server, clock)
    clock.now += 3 * DAY
    async with started(tmp_path / "state") as engine:
        status = await until(engine, lambda status: status["networkMapSaved"])
        assert 3 * DAY <= status["networkMapAge"] < 3 * DAY + 600


async def test_a_map_older_than_the_limit_is_not_used_unless_the_limit_is_lifted(
    machine: Machine, tmp_path: pathlib.Path, server: Server, clock: Clock
) -> None:
    await joined(tmp_path / "state", server, clock)
    clock.now += 31 * DAY
    async with started(tmp_path / "state") as engine:
        status = await until(engine, lambda status: any(one["code"] == "map-saved-refused" for one in status["warnings"]))
        assert not status["networkMapSaved"]
        engine.prefer({"saved_map_days": 0})
    async with started(tmp_path / "state") as engine:
        status = await until(engine, lambda status: status["networkMapSaved"])
        assert status["networkMapAge"] >= 31 * DAY
