"""Bring a database to the tables that this version knows: a copy first, then all steps in one transaction."""

import logging
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.ext.asyncio import AsyncEngine

from server.store import sqlite
from server.store.errors import DatabaseTooNew, DatabaseUnreadable

HEAD = "0001"  # the newest file in migrations/versions
SCRIPTS = Path(__file__).parent / "migrations"

log = logging.getLogger(__name__)


async def migrate(engine: AsyncEngine, database: Path, *, scripts: Path = SCRIPTS, head: str = HEAD) -> None:
    """Upgrade to `head`; costs one query if the database is there already. On failure the database is as it was.

    Raises DatabaseTooNew if a later version of ours wrote it, DatabaseUnreadable if it is no database.
    """
    try:
        async with engine.connect() as connection:
            if await connection.run_sync(_revision) == head:
                return
        async with engine.connect() as connection:
            await connection.execution_options(**sqlite.MIGRATES)
            async with connection.begin():
                await connection.run_sync(_upgrade, database, scripts, head)
        await engine.dispose()  # that connection does not check foreign keys
    except DatabaseError as error:
        raise DatabaseUnreadable(f"cannot use the database {database}: {error.orig}") from error


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def _upgrade(connection: Connection, database: Path, scripts: Path, head: str) -> None:
    """Under the write lock: another process may have upgraded it since."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    revision = _revision(connection)
    if revision == head:
        return
    if revision is not None:
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        if revision not in known:
            raise DatabaseTooNew(f"a newer version of covey-server wrote {database} (revision {revision}, this one knows {head})")
        copy = database.with_name(f"{database.name}.{revision}.backup")
        sqlite.back_up(database, copy)
        log.info("the database moves from revision %s to %s; a copy of it is %s", revision, head, copy)
    command.upgrade(config, head)
    if sqlite.has_orphans(connection):
        raise DatabaseUnreadable(f"the upgrade of {database} would leave rows that refer to nothing; it was undone")
