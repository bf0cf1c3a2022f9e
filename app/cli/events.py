"""`covey events`: what happened to this machine's connections, from the helper's flight recorder."""

import asyncio
import json
import re
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

from app.cli.words import plain, sentence
from app.local_call import Call, ask
from protocol.errors import CoveyError, UsageError

if TYPE_CHECKING:
    from protocol.journal import JournalEvent, JournalPage

UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
FIRST = 10  # events that --follow begins with
AGAIN = 1.0  # seconds until we look again for a helper that ended


def show_events(socket: str, *, follow: bool, as_json: bool, peer: str | None, since: str | None) -> None:
    begin = begin_of(since, datetime.now().astimezone()) if since is not None else None
    newest, wanted = 0, list["JournalEvent"]()
    for event in _all(socket):
        newest = event["sequence"]
        if _is_wanted(event, peer, begin):
            wanted.append(event)
    for event in wanted[-FIRST:] if follow and begin is None else wanted:
        _print(event, as_json=as_json)
    sys.stdout.flush()
    if follow:
        asyncio.run(_follow(socket, newest, as_json=as_json, peer=peer))
    elif not wanted and not as_json:
        print("Nothing is recorded that fits." if peer or since else "Nothing is recorded yet.", file=sys.stderr)


def begin_of(text: str, now: datetime) -> datetime:
    """When `2h`, `30min`, `1d` ago was, or `2026-03-01 12:00`, or `07:30` of today. Raises UsageError."""
    if found := re.fullmatch(r"(\d{1,5})\s*([a-z]+)", text.strip().lower()):
        if found[2] in UNITS:
            return now - timedelta(seconds=int(found[1]) * UNITS[found[2]])
    elif re.fullmatch(r"\d{1,2}:\d{2}", text.strip()):
        try:
            hour, minute = map(int, text.split(":"))
            return now.replace(hour=hour, minute=minute, second=0, microsecond=0)
        except ValueError:
            pass
    else:
        try:
            return datetime.fromisoformat(text.strip()).astimezone()
        except (ValueError, OverflowError):
            pass
    raise UsageError(f"--since does not understand {plain(text[:40])!r}.", "Say 30min, 2h, 1d, 07:30 or 2026-03-01T12:00.")


def line_of(event: "JournalEvent") -> str:
    """Time, kind and sentence; how often, if more than once."""
    repeated = f" ({event['count']} times until {_clock(event.get('until', ''))})" if event.get("count", 1) > 1 else ""
    return f"{_moment(event['time'])}  {plain(event['kind']):<10}  {_said(event['sentence'])}{repeated}"


def _all(socket: str, after: int = 0) -> Iterator["JournalEvent"]:
    while True:
        page = cast("JournalPage", ask(socket, Call("GET", f"/v1/journal?after={after}")))
        yield from page["events"]
        if not page["more"] or not page["events"]:
            return
        after = page["events"][-1]["sequence"]


def _is_wanted(event: "JournalEvent", peer: str | None, begin: datetime | None) -> bool:
    if peer is not None and event["peer"].lower() != peer.strip().lower().partition(".")[0]:
        return False
    return begin is None or datetime.fromisoformat(event["time"]) >= begin


def _print(event: "JournalEvent", *, as_json: bool) -> None:
    print(json.dumps(event) if as_json else line_of(event))


def _said(text: str) -> str:
    """A sentence as it was noted: it may begin with a name."""
    return plain(" ".join(text.split()))


def _moment(text: str) -> str:
    try:
        return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError):
        return plain(text)


def _clock(text: str) -> str:
    return _moment(text).rpartition(" ")[2]


async def _follow(socket: str, after: int, *, as_json: bool, peer: str | None) -> None:
    """Print what happens, over restarts of the helper, until interrupted."""
    from contextlib import aclosing

    from app.helper_client import HelperClient

    is_there = True
    while True:
        try:
            async with aclosing(HelperClient(socket).journal(after)) as events:
                async for event in events:
                    is_there, after = True, max(after, event["sequence"])
                    if _is_wanted(event, peer, None):
                        _print(event, as_json=as_json)
                        sys.stdout.flush()
        except CoveyError as error:
            if is_there and not as_json:
                print(f"{sentence(str(error))} Waiting for it to come back...", file=sys.stderr)
            is_there = False
        await asyncio.sleep(AGAIN)
