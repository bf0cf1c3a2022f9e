"""Older databases, kept as SQL beside this file, one for each revision that was ever released."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from server.store import open_store
from server.store.errors import DatabaseTooNew, ServerOutdated
from server.store.migrate import HEAD, SCRIPTS, migrate
from server.store.sqlite import Database
from server.store.tables import metadata

OLDER = Path(__file__).parent / "older"

GOOD_STEP = """
import sqlalchemy as sa
from alembic import op

revision = "next"
down_revision = "{head}"


def upgrade() -> None:
    with op.batch_alter_table("setup_keys") as batch:
        batch.add_column(sa.Column("note", sa.String(10), nullable=False, server_default="old"))
        batch.alter_column("name", type_=sa.String(200))
"""
FAILING_STEP = GOOD_STEP + '    raise RuntimeError("the power fails")\n'


def older_database(folder: Path, revision: str) -> Path:
    database = folder / "covey.db"
    connection = sqlite3.connect(database)
    connection.executescript((OLDER / f"{revision}.sql").read_text("utf-8"))
    connection.close()
    return database


def rows(database: Path, statement: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(database)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def scripts_with(step: str, folder: Path) -> Path:
    scripts = folder / "migrations"
    shutil.copytree(SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    (scripts / "versions" / "next.py").write_text(step.format(head=HEAD))
    return scripts


async def upgrade(database: Path, scripts: Path, may_migrate: Callable[[], bool] = lambda: True) -> None:
    opened = Database(database)
    try:
        await migrate(opened, may_migrate, scripts=scripts, head="next")
    finally:
        await opened.close()


@pytest.mark.parametrize("revision", sorted(file.stem for file in OLDER.glob("*.sql")))
async def test_a_database_of_every_older_revision_opens_with_all_that_is_in_it(tmp_path: Path, revision: str) -> None:
    older_database(tmp_path, revision)
    async with open_store(tmp_path) as store:
        account, peers = await store.members((await store.account()).id)
        assert str(account.network) == "100.92.0.0/16"
        assert sorted(peer.meta.hostname for peer in peers) == ["alice", "alice", "bob"]
        assert [(key.name, key.used) for key in await store.setup_keys()] == [("office", 3), ("once", 0)]


async def test_an_upgrade_keeps_every_row_and_leaves_a_copy_of_before(tmp_path: Path) -> None:
    database = older_database(tmp_path, HEAD)

    await upgrade(database, scripts_with(GOOD_STEP, tmp_path))

    assert rows(database, "SELECT version_num FROM alembic_version") == [("next",)]
    assert rows(database, "SELECT note FROM setup_keys") == [("old",), ("old",)]
    assert rows(database, "SELECT count(*) FROM peers WHERE setup_key_id IN (SELECT id FROM setup_keys)") == [(3,)]
    copy = tmp_path / f"covey.db.{HEAD}.backup"
    assert copy.stat().st_mode & 0o777 == 0o600
    assert rows(copy, "SELECT version_num FROM alembic_version") == [(HEAD,)]
    assert rows(copy, "SELECT count(*) FROM peers") == [(3,)]


async def test_an_upgrade_that_fails_half_way_changes_nothing(tmp_path: Path) -> None:
    database = older_database(tmp_path, HEAD)
    before = rows(database, "SELECT sql FROM sqlite_master ORDER BY name")

    with pytest.raises(RuntimeError, match="the power fails"):
        await upgrade(database, scripts_with(FAILING_STEP, tmp_path))

    assert rows(database, "SELECT version_num FROM alembic_version") == [(HEAD,)]
    assert rows(database, "SELECT sql FROM sqlite_master ORDER BY name") == before
    assert rows(database, "SELECT count(*) FROM peers") == [(3,)]


async def test_an_upgrade_that_is_not_allowed_is_not_made(tmp_path: Path) -> None:
    database = older_database(tmp_path, HEAD)
    with pytest.raises(ServerOutdated):
        await upgrade(database, scripts_with(GOOD_STEP, tmp_path), may_migrate=lambda: False)
    assert rows(database, "SELECT version_num FROM alembic_version") == [(HEAD,)]
    assert not list(tmp_path.glob("*.backup"))


async def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    database = older_database(tmp_path, HEAD)
    await upgrade(database, scripts_with(GOOD_STEP, tmp_path))
    with pytest.raises(DatabaseTooNew):
        async with open_store(tmp_path):
            pass
    assert rows(database, "SELECT version_num FROM alembic_version") == [("next",)]


async def test_two_programs_that_open_a_new_folder_at_once_make_one_database(tmp_path: Path) -> None:
    async def open_it() -> str:
        async with open_store(tmp_path) as store:
            return (await store.account()).id

    assert len(set(await asyncio.gather(*(open_it() for _ in range(4))))) == 1


async def test_migrations_make_exactly_the_tables_that_the_code_uses(tmp_path: Path) -> None:
    async with open_store(tmp_path):
        pass
    database = Database(tmp_path / "covey.db")

    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    assert await database.read(differences) == []
    await database.close()
    assert ScriptDirectory(str(SCRIPTS)).get_current_head() == HEAD
