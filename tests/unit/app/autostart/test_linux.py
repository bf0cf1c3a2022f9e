import re
from pathlib import Path

import pytest

from app.autostart.linux import NAME, DesktopFile, own_command, quoted


def test_switching_on_and_off(tmp_path: Path) -> None:
    entry = DesktopFile(tmp_path / "autostart")
    assert not entry.is_on()
    entry.switch(True)
    assert entry.is_on()
    assert f"Exec={own_command()} --hidden\n" in (tmp_path / "autostart" / NAME).read_text()
    entry.switch(False)
    entry.switch(False)
    assert not entry.is_on()


@pytest.mark.parametrize("off", ["Hidden=true", "X-GNOME-Autostart-enabled = false"])
def test_what_the_desktop_switched_off_is_off_and_can_be_switched_on(tmp_path: Path, off: str) -> None:
    entry = DesktopFile(tmp_path)
    (tmp_path / NAME).write_text(f"[Desktop Entry]\nType=Application\n{off}\n")
    assert not entry.is_on()
    entry.switch(True)
    assert entry.is_on()


@pytest.mark.parametrize("word", ["/usr/bin/covey-tray", "/opt/my apps/covey", "/opt/50%/covey", '/opt/a"b$c`d/covey'])
def test_a_path_is_quoted_as_exec_lines_want_it(word: str) -> None:
    """Undone as the specification has it: escapes of the string, the quotes, the field codes."""
    string = quoted(word).replace("\\\\", "\\")
    assert string[0] == string[-1] == '"'
    assert re.sub(r"\\(.)", r"\1", string[1:-1]).replace("%%", "%") == word
