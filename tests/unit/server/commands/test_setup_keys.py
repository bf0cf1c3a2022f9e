import json
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from protocol.errors import UsageError
from server.commands import setup_keys
from server.durations import parse_duration
from server.store import open_store
from server.store.errors import NoServerHere, NoSuchSetupKey


def run(*words: str) -> str:
    result = CliRunner().invoke(setup_keys.app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_key_is_shown_once_and_listed_without_itself(tmp_path: Path) -> None:
    where = ("--data-dir", str(tmp_path))
    made = json.loads(run("create", *where, "--name", "office", "--reusable", "--expires-in", "24h", "--ephemeral", "--json"))

    assert set(made) == {"id", "name", "key", "reusable", "expires_at", "usage_limit", "ephemeral"}
    assert (made["name"], made["reusable"], made["usage_limit"], made["ephemeral"]) == ("office", True, None, True)
    assert made["expires_at"] > time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    (listed,) = json.loads(run("list", *where, "--json"))
    assert (listed["id"], listed["hint"], listed["state"]) == (made["id"], f"{made['key'][:8]}-…", "valid")
    assert made["key"] not in run("list", *where)


@pytest.mark.parametrize(
    ("flags", "reusable", "limit"),
    [
        ((), False, 1),
        (("--usage-limit", "3"), True, 3),
        (("--reusable", "--usage-limit", "3"), True, 3),
        (("--reusable",), True, None),
    ],
)
def test_how_often_a_key_is_good_follows_from_its_flags(
    tmp_path: Path, flags: tuple[str, ...], reusable: bool, limit: int | None
) -> None:
    made = json.loads(run("create", "--data-dir", str(tmp_path), "--name", "x", *flags, "--json"))
    assert (made["reusable"], made["usage_limit"], made["expires_at"]) == (reusable, limit, None)


def test_a_revoked_key_is_listed_as_that(tmp_path: Path) -> None:
    where = ("--data-dir", str(tmp_path))
    made = json.loads(run("create", *where, "--name", "office", "--json"))
    assert "office" in run("revoke", made["id"], *where)
    assert [key["state"] for key in json.loads(run("list", *where, "--json"))] == ["revoked"]
    with pytest.raises(NoSuchSetupKey):
        run("revoke", "nothing", *where)


def test_only_create_makes_a_database_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(NoServerHere):
        run("list", "--data-dir", str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_create_says_where_no_server_has_run_yet(tmp_path: Path) -> None:
    words = ("create", "--data-dir", str(tmp_path), "--name", "x")
    first, second = (CliRunner().invoke(setup_keys.app, words) for _ in range(2))
    assert f"No server has run on {tmp_path} yet" in first.stderr
    assert "No server has run" not in first.stdout + second.output


@pytest.mark.parametrize("flags", [("--name", " "), ("--name", "x", "--usage-limit", "0"), ("--name", "x", "--expires-in", "0s")])
def test_wrong_wishes_are_usage_errors(tmp_path: Path, flags: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        run("create", "--data-dir", str(tmp_path), *flags)


@pytest.mark.parametrize(("text", "seconds"), [("1s", 1), ("90m", 5400), ("24h", 86400), ("1d12h", 129600)])
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "24", "h", "-1h", "1.5h", "1w", "١h"])
def test_what_is_no_duration_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        parse_duration(text)


async def test_a_join_link_can_have_a_key_made(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        made = await setup_keys.create_setup_key(store, name="join link")
        assert made.record.usage_limit == 1
