"""Notifications of the desktop, where the tray's own are not enough: some desktops have no tray."""

import sys
from collections.abc import Callable
from typing import Protocol


class Notifier(Protocol):
    async def show(self, title: str, text: str) -> bool:
        """Show it as plain text, in place of what was shown before; False where the desktop can't."""

    async def close(self) -> None: ...


def notifier(on_clicked: Callable[[], None]) -> Notifier | None:
    """None where the tray's own notifications are the right ones."""
    if sys.platform == "linux":
        from app.notify.linux import DesktopNotifier

        return DesktopNotifier(on_clicked)
    return None
