"""Bring a database to the tables that this version knows: a copy first, then all steps in one transaction."""

import logging
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DatabaseError

from server.store.errors import DatabaseTooNew, DatabaseUnreadable, ServerOutdated
from server.store.sqlite import Database, back_up

HEAD = "0002"  # the newest file in migrations/versions
SCRIPTS = Path(__file__).parent / "migrations"

log = logging.getLogger(__name__)


async def migrate(
    database: Database, may_migrate: Callable[[], bool] = lambda: True, *, scripts: Path = SCRIPTS, head: str = HEAD
) -> None:
    """Upgrade to `head`; costs one query if the database is there already. On failure the database is as it was.

    Raises DatabaseTooNew if a later version of ours wrote it, DatabaseUnreadable if it is no database, ServerOutdated if an
    upgrade is due and `may_migrate` says no.
    """
    try:
        if await database.read(_revision) != head:
            await database.migrate(lambda connection: _upgrade(connection, database.file, may_migrate, scripts, head))
    except DatabaseError as error:
        raise DatabaseUnreadable(f"cannot use the database {database.file}: {error.orig}") from error


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def _upgrade(connection: Connection, database: Path, may_migrate: Callable[[], bool], scripts: Path, head: str) -> None:
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
        if not may_migrate():
            raise ServerOutdated(f"the server that runs on {database.parent} is older than this program")
        copy = database.with_name(f"{database.name}.{revision}.backup")
        back_up(database, copy)
        log.info("the database moves from revision %s to %s; a copy of it is %s", revision, head, copy)
    command.upgrade(config, head)
