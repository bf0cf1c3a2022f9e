"""Everything that holds for SQLite only; another database needs none of it."""

import sqlite3
from pathlib import Path

from sqlalchemy import Connection, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

BUSY_TIMEOUT = 10_000  # milliseconds that a writer waits for another process
READERS = 4
POOL_TIMEOUT = 60.0  # seconds that a reader waits for its turn when many log in at once

WRITES = {"covey_begin": ("BEGIN IMMEDIATE",)}  # takes the write lock at once, so that no transaction fails half-way
WATCHES = {"covey_begin": ()}  # no transaction: a snapshot would never change
MIGRATES = {"covey_begin": ("PRAGMA foreign_keys=OFF", "BEGIN IMMEDIATE")}  # recreating a table must not delete what refers to it


def open_engine(database: Path) -> AsyncEngine:
    """An engine on this file: write-ahead log, every commit synced, foreign keys on, transactions begun by us.

    Dispose of it: an open connection holds a thread that keeps the process alive.
    """
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{database}",
        pool_size=READERS,
        max_overflow=2,
        pool_timeout=POOL_TIMEOUT,
        pool_reset_on_return="rollback",
    )

    @event.listens_for(engine.sync_engine, "connect")
    def set_up(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # the driver would begin transactions too late, and none around DDL
        cursor = connection.cursor()
        for pragma in (f"busy_timeout={BUSY_TIMEOUT}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        for statement in connection.get_execution_options().get("covey_begin", ("BEGIN",)):
            connection.exec_driver_sql(statement)

    return engine


async def data_version(connection: AsyncConnection) -> int:
    """A number that is another one after every commit of another connection or process; ask on the same connection always."""
    return int((await connection.exec_driver_sql("PRAGMA data_version")).scalar_one())


def has_orphans(connection: Connection) -> bool:
    """Say whether a row refers to one that is not there: the check that MIGRATES has put off."""
    return connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None


def back_up(database: Path, copy: Path) -> None:
    """Copy the committed state, even while others write, to a new file for its owner only."""
    copy.unlink(missing_ok=True)
    copy.touch(0o600)
    source, target = sqlite3.connect(database), sqlite3.connect(copy)
    try:
        source.backup(target)
    finally:
        source.close()
        target.close()
