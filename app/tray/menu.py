"""Draws a menu from its value. What stays the same is left alone, so that an open menu does not jump."""

from collections.abc import Callable

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu

from app.tray.names import menu_text
from app.tray.view import Action, Entry, Item, Separator

OnAction = Callable[[Action], None]


class DrawnMenu:
    """A menu and what it shows now."""

    def __init__(self, menu: QMenu, on_action: OnAction) -> None:
        self.menu, self._on_action = menu, on_action
        self._entries: tuple[Entry, ...] = ()
        self._submenus: dict[int, DrawnMenu] = {}

    def show(self, entries: tuple[Entry, ...]) -> None:
        if [_kind(entry) for entry in entries] != [_kind(entry) for entry in self._entries]:
            self._rebuild(entries)
        for number, (action, before, now) in enumerate(zip(self.menu.actions(), self._entries, entries, strict=True)):
            if before != now and isinstance(now, Item):
                _apply(action, now)
            if isinstance(now, Item) and now.items:
                self._submenus[number].show(now.items)
        self._entries = entries

    def _rebuild(self, entries: tuple[Entry, ...]) -> None:
        self.menu.clear()
        for drawn in self._submenus.values():
            drawn.menu.deleteLater()
        self._submenus = {}
        for number, entry in enumerate(entries):
            if isinstance(entry, Separator):
                self.menu.addSeparator()
            elif entry.items:
                submenu = QMenu(self.menu)
                self._submenus[number] = DrawnMenu(submenu, self._on_action)
                _apply(self.menu.addMenu(submenu), entry)
            else:
                action = self.menu.addAction("")
                action.triggered.connect(lambda _=False, number=number: self._on_triggered(number))
                _apply(action, entry)
        self._entries = entries

    def _on_triggered(self, number: int) -> None:
        """What the line means now, not what it meant when it was made."""
        entry = self._entries[number] if number < len(self._entries) else None
        if isinstance(entry, Item):
            if entry.is_checked is not None:
                self.menu.actions()[number].setChecked(entry.is_checked)  # the model says when it is another
            if entry.action is not None and entry.is_enabled:
                self._on_action(entry.action)


def _kind(entry: Entry) -> tuple[str, bool]:
    """What can't be changed without making the line anew."""
    if isinstance(entry, Separator):
        return "separator", False
    return "submenu" if entry.items else "line", entry.is_checked is not None


def _apply(action: QAction, item: Item) -> None:
    action.setText(menu_text(item.text, item.key))
    action.setEnabled(item.is_enabled)
    action.setCheckable(item.is_checked is not None)
    action.setChecked(bool(item.is_checked))
