from pathlib import Path
from typing import Any

import pytest

from app.settings import FILE, AppSettings, load, save


def test_settings_survive(tmp_path: Path) -> None:
    wanted = AppSettings(connect_on_start=True, silenced=frozenset({"lost", "back"}), told_about_tray=True)
    save(tmp_path / "new" / "folder", wanted)
    assert load(tmp_path / "new" / "folder") == wanted
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == [FILE]


def test_without_a_file_there_are_defaults(tmp_path: Path) -> None:
    assert load(tmp_path) == AppSettings()


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 50_000, b"null", b'{"connect_on_start": "yes", "silenced": 3}']
)
def test_a_damaged_file_gives_defaults(tmp_path: Path, data: bytes) -> None:
    (tmp_path / FILE).write_bytes(data)
    assert load(tmp_path) == AppSettings()


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ({"connect_on_start": True, "silenced": ["lost", 5]}, AppSettings(connect_on_start=True, silenced=frozenset({"lost"}))),
        ({"told_about_tray": 1, "from_the_future": {}}, AppSettings()),
    ],
)
def test_what_is_right_is_taken(data: dict[str, Any], wanted: AppSettings) -> None:
    assert AppSettings.from_json(data) == wanted


def test_a_folder_that_cannot_be_written_says_so_and_leaves_the_old_ones(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(OSError, match="file"):
        save(blocked, AppSettings())
