"""The helper's log on disk."""

import logging
import os
from pathlib import Path

import pytest

from helper import log_file
from helper.log_file import MAX_FILE, MAX_LINE, LogFile, tail


def say(file: LogFile, text: str) -> None:
    file.emit(logging.LogRecord("some", logging.INFO, __file__, 1, text, None, None))


@pytest.fixture
def file(tmp_path: Path) -> LogFile:
    return LogFile(tmp_path / "logs")


def test_it_keeps_the_last_two_files_and_no_more(file: LogFile, tmp_path: Path) -> None:
    for number in range(500):
        say(file, f"{number} " + "x" * 2 * MAX_LINE)
    text, sizes = tail(tmp_path / "logs"), [path.stat().st_size for path in (tmp_path / "logs").iterdir()]
    file.close()
    assert len(sizes) == 2
    assert max(sizes) <= MAX_FILE
    assert text.splitlines()[-1].startswith("499 x")
    assert (tmp_path / "logs/helper.log").stat().st_mode & 0o777 == 0o600


def test_a_file_that_was_moved_away_is_made_anew(file: LogFile, tmp_path: Path) -> None:
    say(file, "before")
    os.rename(file.path, tmp_path / "rotated")
    say(file, "after")
    file.close()
    assert ((tmp_path / "rotated").read_text(), file.path.read_text()) == ("before\n", "after\n")


def test_a_disk_that_refuses_costs_lines_only(file: LogFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(log_file.os, "write", full)
        say(file, "lost")
    say(file, "kept")
    file.close()
    assert tail(file.path.parent) == "kept\n"
