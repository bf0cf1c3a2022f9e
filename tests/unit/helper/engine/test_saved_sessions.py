"""When ICE sessions are written, handed out and forgotten."""

import pathlib
from types import SimpleNamespace
from typing import Any

import pytest

from helper.engine import saved_sessions
from helper.engine.saved_sessions import SavedSessions
from helper.ice.binding import Credentials
from helper.ice.candidates import make_candidate
from helper.peer.saved_session import SavedSession
from helper.settings import ProfileFolder
from protocol.addresses import Address
from protocol.keys import PublicKey

BOB = PublicKey(bytes(range(32)))
SESSION = SavedSession(
    Credentials("ours", "secret-of-ours"),
    b"12345",
    Credentials("theirs", "secret-of-theirs"),
    b"54321",
    (make_candidate("srflx", Address.of("203.0.113.12", 51000)),),
)


def peers(session: SavedSession | None) -> Any:
    """Bob, whose connection has this session."""
    return {BOB: SimpleNamespace(connection=SimpleNamespace(sessions=SimpleNamespace(saved=lambda: session)))}


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> ProfileFolder:
    return ProfileFolder(tmp_path, [])


async def test_the_next_start_gets_each_session_once(folder: ProfileFolder) -> None:
    before, after = SavedSessions(folder), SavedSessions(folder)
    before.begin(peers(SESSION))
    before.end()
    assert oct((folder.path / "ice-sessions").stat().st_mode & 0o777) == "0o600"
    after.begin({})
    assert (after.take(BOB), after.take(BOB)) == (SESSION, None)
    after.end()
    assert (folder.path / "ice-sessions").exists()  # nobody was there yet: no reason to forget it


async def test_whoever_said_goodbye_keeps_nothing(folder: ProfileFolder) -> None:
    sessions = SavedSessions(folder)
    sessions.begin(peers(SESSION))
    sessions.end()
    sessions.begin(peers(SESSION))
    sessions.forget()
    sessions.look()
    sessions.end()
    assert list(folder.path.iterdir()) == []


async def test_a_change_is_written_soon(folder: ProfileFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved_sessions, "SAVE_AFTER", 0.0)
    sessions = SavedSessions(folder)
    written: list[bytes] = []
    monkeypatch.setattr(folder, "save_sessions", written.append)
    sessions.begin(peers(SESSION))
    sessions.look()
    sessions._on_timer()
    sessions._on_timer()
    assert len(written) == 1  # nothing had changed
    sessions.end()


async def test_leaving_the_network_and_a_damaged_file_leave_nothing_to_resume(folder: ProfileFolder) -> None:
    folder.save_sessions(b"{}")
    sessions = SavedSessions(folder)
    sessions.begin({})
    assert sessions.take(BOB) is None
    sessions.end()
    folder.save_sessions(b"secret")
    folder.forget_map()
    assert not [path for path in folder.path.iterdir() if b"secret" in path.read_bytes()]
