"""An ICE session as it is saved, so that a helper that is started again finds its peers without signalling. Pure.

Whoever still has the other end of it goes on trying the pairs it knew, and answers checks by its credentials, wherever they come
from. WireGuard's keys are not in it: its session begins anew by a handshake.
"""

import contextlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from helper.ice.binding import Credentials
from helper.ice.candidates import Candidate, parse_sdp, to_sdp
from helper.peer.messages import SESSION_LENGTH
from protocol.keys import PublicKey

VERSION = 1
MAX_PEERS = 256
MAX_CANDIDATES = 16
MAX_AGE = 86400.0  # seconds since it was last known to be ours; later nobody expects us by it
MAX_TEXT = 256  # characters of a ufrag or password (RFC 8445, section 5.3)
MAX_IDENTITY = 256  # bytes; a stock peer's session is named by its ufrag


@dataclass(frozen=True, slots=True)
class SavedSession:
    """Attributes:
    local, identity: our credentials, and what the other side knows the session by.
    remote, remote_identity: the other side's.
    candidates: its own; the first is where the selected pair led to.
    """

    local: Credentials
    identity: bytes
    remote: Credentials
    remote_identity: bytes
    candidates: tuple[Candidate, ...]


def pack(sessions: Iterable[tuple[PublicKey, SavedSession]], saved: float) -> bytes:
    """As JSON; `saved` in seconds since 1970. Those past MAX_PEERS are left out."""
    peers = {key.text: _to_json(session) for key, session in list(sessions)[:MAX_PEERS]}
    return json.dumps({"version": VERSION, "saved": int(saved), "peers": peers}).encode()


def unpack(data: bytes, now: float) -> dict[PublicKey, SavedSession]:
    """What `pack` wrote, unless it is too old by now (seconds since 1970). Raises ValueError for anything else.

    A peer whose own words make no sense is left out alone.
    """
    match json.loads(data):
        case {"version": 1, "saved": int(saved), "peers": dict(peers)} if 0 <= saved < 2**40 and len(peers) <= MAX_PEERS:
            found: dict[PublicKey, SavedSession] = {}
            for key, entry in peers.items() if now - saved <= MAX_AGE else ():
                with contextlib.suppress(ValueError):
                    found[PublicKey.from_text(key)] = _from_json(entry)
            return found
        case _:
            raise ValueError("it does not hold sessions")


def _to_json(session: SavedSession) -> dict[str, Any]:
    local, remote = session.local, session.remote
    return {
        "local": [local.ufrag, local.password, session.identity.hex()],
        "remote": [remote.ufrag, remote.password, session.remote_identity.hex()],
        "candidates": [to_sdp(candidate, remote.ufrag) for candidate in session.candidates[:MAX_CANDIDATES]],
    }


def _from_json(entry: Any) -> SavedSession:
    match entry:
        case {"local": list(ours), "remote": list(theirs), "candidates": [str(), *_] as texts} if len(
            texts
        ) <= MAX_CANDIDATES and all(isinstance(text, str) for text in texts):
            local, identity = _end(ours)
            remote, remote_identity = _end(theirs)
            if len(identity) != SESSION_LENGTH:
                raise ValueError("a session is named by five bytes")
            return SavedSession(local, identity, remote, remote_identity, tuple(parse_sdp(text)[0] for text in texts))
        case _:
            raise ValueError("a session is incomplete")


def _end(fields: list[Any]) -> tuple[Credentials, bytes]:
    match fields:
        case [str(ufrag), str(password), str(identity)] if all(
            0 < len(text) <= MAX_TEXT and text.isascii() and text.isprintable() and ":" not in text for text in (ufrag, password)
        ):
            if len(identity) > 2 * MAX_IDENTITY:
                raise ValueError("a session's name is too long")
            return Credentials(ufrag, password), bytes.fromhex(identity)
        case _:
            raise ValueError("one end of a session is malformed")


def passwords(data: bytes) -> set[str]:
    """All passwords in a file of sessions, for whoever must not show them. Damage holds none."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return set()
    peers = found.get("peers") if isinstance(found, Mapping) else None
    entries = peers.values() if isinstance(peers, Mapping) else ()
    ends = [entry.get(side) for entry in entries if isinstance(entry, Mapping) for side in ("local", "remote")]
    return {end[1] for end in ends if isinstance(end, list) and len(end) > 1 and isinstance(end[1], str) and end[1]}
