import json

import pytest

from app.cli.profiles import profile_lines
from app.helper_client import HelperClient
from app.login.person import account_of
from app.login.store import Kept, user_store
from tests.unit.app.cli.conftest import Covey
from tests.unit.helper.local_api.scripted import ScriptedController

KEPT = Kept("secret", "https://id.example.org/token", "covey", "alice@example.org", 1.0)


async def test_accounts_are_added_used_and_removed(covey: Covey, controller: ScriptedController) -> None:
    assert (await covey("profile", "add", "work")).code == 0
    assert (await covey("profile", "use", "work")).out == "Now using the account 'work'.\n"
    document = json.loads((await covey("profile", "list", "--json")).out)
    assert document["active"] == "work"
    assert [profile["name"] for profile in document["profiles"]] == ["default", "work"]
    assert [line.split()[0] for line in (await covey("profile", "list")).out.splitlines()] == ["default", "*"]
    assert (await covey("profile", "use", "default", "--json")).code == 0
    removed = json.loads((await covey("profile", "remove", "work", "--json")).out)
    assert [profile["name"] for profile in removed["profiles"]] == ["default"]
    assert controller.calls == [("add", "work"), ("use", "work"), ("use", "default"), ("remove", "work")]


async def test_what_was_kept_of_a_removed_account_is_forgotten(covey: Covey, controller: ScriptedController) -> None:
    client = HelperClient(covey.socket)
    await covey("profile", "add", "work")
    store = user_store(on_file=lambda sentence: None)
    for name in ("default", "work"):
        await store.save(account_of(client, name), KEPT)
    assert (await covey("profile", "remove", "work")).code == 0
    assert await store.load(account_of(client, "work")) is None
    assert await store.load(account_of(client, "default")) == KEPT


@pytest.mark.parametrize("words", [["use", "nobody"], ["remove", "nobody"]])
async def test_an_account_that_is_not_there_is_told(covey: Covey, controller: ScriptedController, words: list[str]) -> None:
    done = await covey("profile", *words)
    assert (done.code, done.out) == (1, "")
    assert "covey profile list" in done.err


async def test_names_are_not_obeyed_by_the_terminal(covey: Covey, controller: ScriptedController) -> None:
    lines = profile_lines({"active": "a", "profiles": [{"name": "\x1b[2J\n", "server": "\x07", "email": "[b]x"}]})
    assert len(lines) == 1
    assert lines[0].isprintable()
    assert "[b]x" in lines[0]


async def test_without_a_word_it_explains_itself(covey: Covey) -> None:
    done = await covey("profile")
    for name in ("list", "add", "use", "remove"):
        assert f"  {name} " in done.out + done.err
