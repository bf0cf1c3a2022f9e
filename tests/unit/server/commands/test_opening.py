from collections.abc import Callable
from pathlib import Path

import pytest

from server.commands.opening import open_beside_server
from server.store.migrate import migrate
from server.store.sqlite import Database
from server.unix import LOCK, lock_folder


async def test_commands_upgrade_a_database_only_while_no_server_runs_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[bool] = []

    async def ask_and_migrate(database: Database, may_migrate: Callable[[], bool]) -> None:
        answers.append(may_migrate())
        await migrate(database)

    monkeypatch.setattr("server.store.store.migrate", ask_and_migrate)
    async with open_beside_server(tmp_path, must_exist=False):
        assert not (tmp_path / LOCK).exists()
    with lock_folder(tmp_path):
        async with open_beside_server(tmp_path):
            pass
    async with open_beside_server(tmp_path):
        pass
    assert answers == [True, False, True]
