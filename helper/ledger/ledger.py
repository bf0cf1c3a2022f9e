"""What we change on this machine, on disk before it is changed, so that a crash leaves nothing behind for ever.

The file is JSON, for its owner only: `{"version": 1, "changes": [{"id": "...", "kind": "interface", "details": {...}}]}`.
Every write replaces the file as a whole, so a reader sees the old list or the new one and never half of either.
"""

import json
import logging
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from protocol.errors import CoveyError, StateUnreadable

VERSION = 1

Detail = str | int | bool | None | list[str]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """A change to the operating system that is about to be made, or was.

    Attributes:
        kind: says how to undo it, as `interface` or `wireguard-go` (see `undo.py`).
        details: what undoing needs to know; never a secret.
    """

    id: str
    kind: str
    details: Mapping[str, Detail] = field(default_factory=dict)


class Ledger:
    """The changes that are not undone yet. One process at a time owns the file.

    Attributes:
        damaged: where a file that could not be read as one was put; None if it was in order.
    """

    def __init__(self, path: Path) -> None:
        """Read the file. A damaged one is kept beside it as `NAME.damaged`, with a warning; the ledger then starts empty.

        Raises StateUnreadable when the file is there but cannot be read.
        """
        self.path = path
        self.damaged: Path | None = None
        self._changes: dict[str, Change] = {change.id: change for change in self._read()}

    def record(self, kind: str, **details: Detail) -> Change:
        """Write down a change; make it only after this returned.

        Raises CoveyError when the file cannot be written.
        """
        change = Change(uuid.uuid4().hex, kind, details)
        self._write({**self._changes, change.id: change})
        return change

    def amend(self, change_id: str, **details: Detail) -> Change:
        """Add what is known only after the change was made, such as a process's number. Raises KeyError for a forgotten one."""
        former = self._changes[change_id]
        change = Change(change_id, former.kind, {**former.details, **details})
        self._write({**self._changes, change_id: change})
        return change

    def forget(self, change_id: str) -> None:
        """Strike a change that is undone. Twice is no error."""
        if change_id in self._changes:
            self._write({key: change for key, change in self._changes.items() if key != change_id})

    def entries(self) -> tuple[Change, ...]:
        """What is not undone, oldest first."""
        return tuple(self._changes.values())

    def _read(self) -> list[Change]:
        try:
            return parse(self.path.read_bytes())
        except FileNotFoundError:
            return []
        except ValueError as error:
            aside = self.path.with_name(self.path.name + ".damaged")
            os.replace(self.path, aside)
            self.damaged = aside
            log.warning("the list of changes to this machine is damaged (%s); kept as %s", error, aside)
            return []
        except OSError as error:
            raise StateUnreadable(
                f"{self.path} cannot be read ({error.strerror})", "Fix its permissions; root must read it."
            ) from error

    def _write(self, changes: dict[str, Change]) -> None:
        listed = [{"id": change.id, "kind": change.kind, "details": dict(change.details)} for change in changes.values()]
        body = json.dumps({"version": VERSION, "changes": listed}, indent=1).encode()
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _replace(self.path, body)
        except OSError as error:
            raise CoveyError(
                f"{self.path} cannot be written ({error.strerror})",
                "Covey changes nothing on this machine that it could not undo after a crash; make room or fix the permissions.",
            ) from error
        self._changes = changes


def parse(body: bytes) -> list[Change]:
    """Read a ledger's text. Raises ValueError for anything that this version did not write."""
    try:
        document = json.loads(body)
    except (UnicodeDecodeError, RecursionError):
        raise ValueError("it is no JSON") from None
    match document:
        case {"version": 1, "changes": list(listed)}:
            return [_change(one) for one in listed]
    raise ValueError(f"it is no list of version {VERSION}")


def _change(listed: object) -> Change:
    match listed:
        case {"id": str(change_id), "kind": str(kind), "details": dict(details)}:
            if all(_is_detail(value) for value in details.values()):
                return Change(change_id, kind, details)
    raise ValueError("one of its changes has no id, kind and details")


def _is_detail(value: object) -> bool:
    if isinstance(value, list):
        return all(isinstance(one, str) for one in value)
    return value is None or isinstance(value, str | int)


def _replace(path: Path, body: bytes) -> None:
    """Replace a file so that even a power cut leaves the old content or the new one."""
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0), 0o600)
    with open(descriptor, "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
