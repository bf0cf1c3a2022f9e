"""State files: the owner's only (0600), replaced as a whole, and read back with suspicion.

A file is written aside, synced and renamed. A damaged one is kept beside its successor as `NAME.damaged`, and the one before
it (`NAME.before`) is used where it is whole. So whatever moment a crash takes, a reader finds the new content or the old.
"""

import contextlib
import logging
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from protocol.errors import StateUnreadable

log = logging.getLogger(__name__)
T = TypeVar("T")

MAX_SIZE = 32 * 1024 * 1024  # bytes of a state file
SUFFIXES = ("", ".before", ".damaged", ".before.damaged", ".new")


class Files:
    """The state files of one folder. `notes` takes sentences about those that were damaged."""

    def __init__(self, path: pathlib.Path, notes: list[str]) -> None:
        self.path, self.notes = path, notes

    def read(self, name: str, parse: Callable[[bytes], T]) -> T | None:
        """What `parse` makes of the file, None if there is none. Raises StateUnreadable if the system does not let us read.

        `parse` raises ValueError for what is damaged.
        """
        file = self.path / name
        for candidate in (file, self.path / f"{name}.before"):
            try:
                if candidate.stat().st_size > MAX_SIZE:
                    raise ValueError("it is larger than it could be")
                data = candidate.read_bytes()
                if not data:
                    raise ValueError("it is empty")
                return parse(data)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StateUnreadable(f"{candidate} can't be read: {error.strerror}") from None
            except (ValueError, RecursionError) as error:
                log.warning("%s is damaged (%s); kept as %s.damaged", candidate, error, candidate.name)
                self.notes.append(f"The state file {name} was damaged; it is kept as {candidate.name}.damaged.")
                candidate.replace(self.path / f"{candidate.name}.damaged")
        return None

    def write(self, name: str, data: bytes, *, sync: bool = True) -> None:
        """Replace the file. Raises OSError; the former content then stays."""
        file, aside = self.path / name, self.path / f"{name}.new"
        with _owner_only(aside) as out:
            out.write(data)
            if sync:
                out.flush()
                os.fsync(out.fileno())
        if file.exists():
            with contextlib.suppress(OSError):
                os.replace(file, self.path / f"{name}.before")
        os.replace(aside, file)

    def exists(self, name: str) -> bool:
        return (self.path / name).exists() or (self.path / f"{name}.before").exists()

    def forget(self, *names: str, suffixes: tuple[str, ...] = ("", ".before")) -> None:
        """Remove the files, in the order given."""
        for name in names:
            for suffix in suffixes:
                (self.path / f"{name}{suffix}").unlink(missing_ok=True)


@contextlib.contextmanager
def _owner_only(path: pathlib.Path) -> Iterator[Any]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as out:
        yield out
