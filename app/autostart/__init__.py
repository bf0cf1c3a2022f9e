"""Starting with the person's session: whether the desktop will, and telling it to."""

import sys
from typing import Protocol


class Autostart(Protocol):
    def is_on(self) -> bool: ...

    def switch(self, on: bool) -> None:
        """Raises OSError when that can't be written."""


def autostart() -> Autostart | None:
    """None where this version of Covey can't do it."""
    if sys.platform == "linux":
        from app.autostart.linux import DesktopFile

        return DesktopFile()
    return None
