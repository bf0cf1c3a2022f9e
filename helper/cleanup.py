"""`covey-helper cleanup`: puts the machine back as it was before the helper, from its ledger, without the helper."""

import asyncio
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from helper.ledger.ledger import Change, Ledger
from helper.ledger.undo import undo_all
from helper.settings import StateFolder
from protocol.errors import AlreadyRunning, NoPermission


@dataclass(frozen=True, slots=True)
class Outcome:
    """Attributes:
    done: sentences that say what was undone.
    left: sentences about what could not be undone and stays listed.
    notes: sentences about a list that was damaged.
    """

    done: list[str]
    left: list[str]
    notes: list[str]

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    def __str__(self) -> str:
        return "\n".join([*self.notes, *self.done, *self.left] or ["There is nothing to clean up."])


def clean_up(state_dir: Path, interface: str) -> Outcome:
    """Undo what the ledger in this folder lists.

    Args:
        interface: its name is what is left to go by when the ledger is damaged.
    Raises:
        NoPermission: root is needed.
        AlreadyRunning: the helper runs, which keeps order by itself.
        StateUnreadable: the ledger can't be read.
    """
    if sys.platform != "win32" and os.geteuid() != 0:
        raise NoPermission(
            "cleaning up changes the system's network, which only root may", "Run it as root: `sudo covey cleanup`."
        )
    if not state_dir.exists():
        return Outcome([], [], [])
    try:
        folder = StateFolder(state_dir)
    except AlreadyRunning:
        raise AlreadyRunning(
            "the helper is running and keeps order by itself",
            "`covey down` takes the tunnel down. To clean up, stop the helper first: `systemctl stop covey-helper`.",
        ) from None
    try:
        ledger = Ledger(state_dir / "ledger.json")
        notes = []
        if ledger.damaged is not None:
            notes.append(f"The list of changes was damaged and is kept as {ledger.damaged}; what {interface} shows is undone.")
            ledger.record("interface", name=interface)
            ledger.record("wireguard-go", interface=interface)
        done = asyncio.run(undo_all(ledger))
        return Outcome([_whole(sentence) for sentence in done], [_left(change) for change in ledger.entries()], notes)
    finally:
        folder.close()


def _whole(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:].rstrip(".") + "."


def _left(change: Change) -> str:
    details = ", ".join(f"{name} {value}" for name, value in change.details.items() if value is not None)
    return f"Could not undo: {change.kind} ({details}). It stays listed; try again, or look at it by hand."
