import errno
import sqlite3

import pytest
from sqlalchemy.exc import OperationalError

from protocol.errors import UsageError
from server import main

FULL_DISK = OSError(errno.ENOSPC, "No space left on device", "/srv/covey/server.json")
LOCKED = OperationalError("INSERT", {}, sqlite3.OperationalError("database is locked"))


def end_of(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> object:
    def fail() -> None:
        raise error

    monkeypatch.setattr(main, "app", fail)
    with pytest.raises(SystemExit) as caught:
        main.main()
    return caught.value.code


@pytest.mark.parametrize(
    ("error", "sentence", "code"),
    [
        (UsageError("there is no such option"), "there is no such option.", 2),
        (FULL_DISK, "the system refuses: /srv/covey/server.json: No space left on device.", 1),
        (LOCKED, "the database cannot be used now: database is locked.", 1),
        (ExceptionGroup("tasks", [ExceptionGroup("more tasks", [FULL_DISK])]), "No space left on device.", 1),
    ],
)
def test_what_a_person_can_help_is_a_sentence_and_a_hint(
    error: BaseException, sentence: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert end_of(error, monkeypatch) == code
    first, hint = capsys.readouterr().err.splitlines()
    assert first.startswith("covey-server: ")
    assert first.endswith(sentence)
    assert hint


@pytest.mark.parametrize("error", [RuntimeError("a fault"), ExceptionGroup("tasks", [FULL_DISK, RuntimeError("a fault")])])
def test_what_nobody_foresaw_keeps_its_traceback(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(main, "app", fail)
    with pytest.raises(type(error)):
        main.main()
