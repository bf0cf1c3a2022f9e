"""The database file: everything that holds for SQLite only is here; another database needs none of it.

A transaction is a plain function of a SQLAlchemy connection that runs as a whole in a thread: writers one after the other
in one thread, readers beside them on snapshots. One change of threads a transaction, not four a statement as through an
asynchronous driver, makes logins about three times as fast (measured), and a cancelled caller never leaves half of one.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

BUSY_TIMEOUT = 10_000  # milliseconds that a writer waits for another process
READERS = 2

READS = ("BEGIN",)
WRITES = ("BEGIN IMMEDIATE",)  # takes the write lock at once, so that no transaction fails half-way
MIGRATES = ("PRAGMA foreign_keys=OFF", "BEGIN IMMEDIATE")  # recreating a table must not delete what refers to it
WATCHES = ()  # no transaction: a snapshot would never change

T = TypeVar("T")


class Database:
    """One file: write-ahead log, every commit synced, foreign keys on, transactions begun by us."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._engine = create_engine(f"sqlite:///{file}", pool_size=READERS + 2)
        self._writer = ThreadPoolExecutor(1, "store-writer")
        self._readers = ThreadPoolExecutor(READERS, "store-reader")
        self._watching: Connection | None = None
        event.listen(self._engine, "connect", _set_up)
        event.listen(self._engine, "begin", _begin)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run in a transaction that sees one moment."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._run, work, READS)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run in a transaction that commits if `work` returns. Cancelled, it still runs as a whole, or not at all."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._run, work, WRITES)

    async def migrate(self, work: Callable[[Connection], None]) -> None:
        """Run with the write lock and without foreign keys, then check that no row refers to nothing."""

        def checked(connection: Connection) -> None:
            work(connection)
            if connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
                raise ValueError("rows would refer to others that are not there")

        try:
            await asyncio.get_running_loop().run_in_executor(self._writer, self._run, checked, MIGRATES)
        finally:
            self._engine.dispose()  # that connection does not check foreign keys

    async def version(self) -> int:
        """A number that is another one after every commit, of this process or another."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._data_version)

    async def close(self) -> None:
        await asyncio.shield(asyncio.to_thread(self._close))

    def _run(self, work: Callable[[Connection], T], begin: tuple[str, ...]) -> T:
        with self._engine.connect().execution_options(covey_begin=begin) as connection, connection.begin():
            return work(connection)

    def _data_version(self) -> int:
        if self._watching is None:
            self._watching = self._engine.connect().execution_options(covey_begin=WATCHES)
        return int(self._watching.exec_driver_sql("PRAGMA data_version").scalar_one())

    def _close(self) -> None:
        self._writer.shutdown()
        self._readers.shutdown()
        if self._watching is not None:
            self._watching.close()
        self._engine.dispose()


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


def _set_up(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver would begin transactions too late, and none around DDL
    cursor = connection.cursor()
    for pragma in (f"busy_timeout={BUSY_TIMEOUT}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    for statement in connection.get_execution_options()["covey_begin"]:
        connection.exec_driver_sql(statement)
