"""A desktop entry in the autostart folder (freedesktop.org, Desktop Application Autostart Specification)."""

import os
import shutil
import sys
from pathlib import Path

NAME = "covey.desktop"
ENTRY = """[Desktop Entry]
Type=Application
Name=Covey
Comment=Your machines in one private network
Exec={command} --hidden
Icon=covey
Terminal=false
X-GNOME-Autostart-enabled=true
"""


class DesktopFile:
    def __init__(self, folder: Path | None = None) -> None:
        config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        self._path = (folder or config / "autostart") / NAME

    def is_on(self) -> bool:
        """Desktops switch an entry off by a line in it, and leave the file."""
        try:
            lines = [line.replace(" ", "").lower() for line in self._path.read_text(encoding="utf-8").splitlines()]
        except (OSError, ValueError):
            return False
        return "hidden=true" not in lines and "x-gnome-autostart-enabled=false" not in lines

    def switch(self, on: bool) -> None:
        if not on:
            self._path.unlink(missing_ok=True)
        elif not self.is_on():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(ENTRY.format(command=own_command()), encoding="utf-8")


def own_command() -> str:
    """How to start this program again, as an `Exec` line has it."""
    beside = Path(sys.executable).with_name("covey-tray")
    found = str(beside) if beside.exists() else shutil.which("covey-tray")
    return quoted(found) if found else f"{quoted(sys.executable)} -m app.tray.main"


def quoted(word: str) -> str:
    """A word of an `Exec` line: in quotes, with what is special there escaped, and `%` doubled."""
    for special in '\\"`$':
        word = word.replace(special, "\\" + special)
    return '"' + word.replace("\\", "\\\\").replace("%", "%%") + '"'
