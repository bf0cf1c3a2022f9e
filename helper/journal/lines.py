"""Events as lines of JSON, and back again with suspicion. Pure."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from helper.recorder import KINDS, Detail, RecordedEvent
from protocol.journal import JournalEvent

MAX_LINE = 64 * 1024  # characters


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def document(event: RecordedEvent) -> JournalEvent:
    """The event as it crosses the border."""
    found: JournalEvent = {
        "sequence": event.sequence,
        "time": iso(event.time),
        "kind": event.kind,
        "peer": event.peer,
        "sentence": event.sentence,
        "details": dict(event.details),
    }
    if event.count > 1:
        found["count"], found["until"] = event.count, iso(event.until)
    return found


def line_of(event: RecordedEvent) -> str:
    """One line for the file, with its end."""
    kept: dict[str, Any] = {**document(event)}
    if event.owner is not None:
        kept["owner"] = event.owner
    return json.dumps(kept, separators=(",", ":")) + "\n"


def read_lines(lines: Iterable[str]) -> list[RecordedEvent]:
    """What the lines hold, by their numbers; of several with one number the last counts. Damaged lines are left out."""
    found: dict[int, RecordedEvent] = {}
    for line in lines:
        if len(line) <= MAX_LINE and (event := _read(line)) is not None:
            found[event.sequence] = event
    return [found[number] for number in sorted(found)]


def _read(line: str) -> RecordedEvent | None:
    try:
        match json.loads(line):
            case {
                "sequence": int(sequence),
                "time": str(moment),
                "kind": str(kind),
                "peer": str(peer),
                "sentence": str(sentence),
                "details": dict(details),
                **rest,
            } if 0 < sequence < 2**53 and kind in KINDS:
                count, owner = rest.get("count", 1), rest.get("owner")
                at = datetime.fromisoformat(moment).timestamp()
                until = datetime.fromisoformat(str(rest.get("until", moment))).timestamp()
                if not isinstance(count, int) or not isinstance(owner, int | None):
                    return None
                return RecordedEvent(sequence, at, kind, sentence, peer, _details(details), count, until, owner)
    except (ValueError, TypeError, OverflowError, RecursionError):
        pass
    return None


def _details(found: dict[str, Any]) -> dict[str, Detail]:
    return {name: value for name, value in found.items() if isinstance(value, str | int | float | None)}
