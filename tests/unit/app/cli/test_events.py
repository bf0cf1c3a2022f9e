"""`covey events`: what a person and a script read of the flight recorder."""

import asyncio
import json
from datetime import UTC, datetime

import pytest

from app.cli.events import begin_of
from helper.local_api.listener import serve
from protocol.errors import UsageError
from tests.unit.app.cli.conftest import Covey
from tests.unit.helper.local_api.scripted import ScriptedController

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


async def test_a_person_reads_time_kind_and_sentence(covey: Covey, controller: ScriptedController) -> None:
    controller.recorder.note("network", "The network\x1b[31m changed.")
    for _ in range(3):
        controller.recorder.note("peer", "bob is connected.", peer="bob")
    done = await covey("events")
    first, second = done.out.splitlines()
    assert first[19:] == "  network     The network?[31m changed."
    assert second[19:].startswith("  peer        bob is connected. (3 times until ")


async def test_a_script_reads_one_object_a_line_and_only_of_that_peer(covey: Covey, controller: ScriptedController) -> None:
    for number in range(600):
        controller.recorder.note("path", f"number {number}", peer="bob" if number % 2 else "carol")
    lines = (await covey("events", "--json", "--peer", "Bob.covey.internal", "--since", "1h")).out.splitlines()
    assert [json.loads(line)["sentence"] for line in lines] == [f"number {number}" for number in range(1, 600, 2)]


async def test_following_goes_on_over_a_restart_of_the_helper(covey: Covey) -> None:
    controller = ScriptedController()
    async with serve(controller, covey.socket):
        controller.recorder.note("helper", "before")
        process = await covey.start("events", "--follow", "--json")
        assert process.stdout is not None
        assert json.loads(await process.stdout.readline())["sentence"] == "before"
    async with serve(controller, covey.socket):
        controller.recorder.note("helper", "meanwhile")
        assert json.loads(await process.stdout.readline())["sentence"] == "meanwhile"
    process.kill()
    await process.communicate()


@pytest.mark.parametrize(
    ("text", "begin"),
    [
        ("2h", datetime(2026, 3, 4, 10, 0, tzinfo=UTC)),
        ("90 min", datetime(2026, 3, 4, 10, 30, tzinfo=UTC)),
        ("07:30", datetime(2026, 3, 4, 7, 30, tzinfo=UTC)),
        ("2026-03-01T12:00+00:00", datetime(2026, 3, 1, 12, 0, tzinfo=UTC)),
    ],
)
def test_since_is_understood_as_people_write_it(text: str, begin: datetime) -> None:
    assert begin_of(text, NOW) == begin


@pytest.mark.parametrize("text", ["", "yesterday", "2 fortnights", "25:00", "12", "9999999h"])
def test_since_that_makes_no_sense_is_a_mistake(text: str) -> None:
    with pytest.raises(UsageError):
        begin_of(text, NOW)


async def test_without_a_helper_it_says_so(covey: Covey) -> None:
    done = await asyncio.wait_for(covey("events"), 20)
    assert (done.code, done.out) == (3, "")
