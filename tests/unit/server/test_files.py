import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from server.files import remove_drafts, write_atomically
from server.store.folder import load_management_key


def write_a_file(folder: Path) -> None:
    write_atomically(folder / "turn.secret", b"secret")


@pytest.mark.parametrize("write", [write_a_file, load_management_key])
def test_a_new_file_and_its_name_are_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], object]
) -> None:
    synced: list[str] = []

    def fsync(descriptor: int) -> None:
        synced.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")

    monkeypatch.setattr(os, "fsync", fsync)
    write(tmp_path)
    assert synced == ["file", "folder"]


def test_drafts_that_a_power_failure_left_are_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (".turn.secret.0123abcd", ".turn.secret.swp", ".other.0123abcd", "turn.secret"):
        (tmp_path / name).touch()
    remove_drafts(tmp_path, ("turn.secret",))
    assert sorted(file.name for file in tmp_path.iterdir()) == [".other.0123abcd", ".turn.secret.swp", "turn.secret"]
