"""The icon in the tray: draws the view, and says what a person clicked."""

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QMenu, QSystemTrayIcon

from app.tray.icons import tray_icon, variant_of_this_desktop
from app.tray.menu import DrawnMenu
from app.tray.view import Action, Do, TrayView


class Tray(QObject):
    """Signals:
    asked: a person wants that; the argument is the Action.
    looked_at: the menu opens (True) or closes (False).
    """

    asked = Signal(object)
    looked_at = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self._view: TrayView | None = None
        self._variant = variant_of_this_desktop()
        self.menu = QMenu()
        self.menu.aboutToShow.connect(lambda: self.looked_at.emit(True))
        self.menu.aboutToHide.connect(lambda: self.looked_at.emit(False))
        self._drawn = DrawnMenu(self.menu, self.asked.emit)
        self._icon: QSystemTrayIcon | None = None

    @property
    def is_shown(self) -> bool:
        return self._icon is not None

    def register(self) -> None:
        """Put the icon into the tray, anew if it was there."""
        self.withdraw()
        self._icon = QSystemTrayIcon(self)
        self._icon.setContextMenu(self.menu)
        self._icon.activated.connect(self._on_activated)
        self._icon.messageClicked.connect(lambda: self.asked.emit(Action(Do.OPEN)))
        if self._view is not None:
            self._draw(self._view)
        self._icon.show()

    def withdraw(self) -> None:
        if self._icon is not None:
            self._icon.hide()
            self._icon.deleteLater()
            self._icon = None

    def show(self, view: TrayView) -> None:
        if view != self._view or self._variant != variant_of_this_desktop():
            self._view = view
            self._variant = variant_of_this_desktop()
            self._draw(view)

    def notify(self, title: str, text: str) -> None:
        if self._icon is not None:
            self._icon.showMessage(title, text, tray_icon(self._view.icon, self._variant) if self._view else self._icon.icon())

    def _draw(self, view: TrayView) -> None:
        self._drawn.show(view.menu)
        if self._icon is not None:
            self._icon.setIcon(tray_icon(view.icon, self._variant))
            self._icon.setToolTip(view.tooltip)

    def _on_activated(self, reason: QSystemTrayIcon.ActivationReason) -> None:
        if reason in (QSystemTrayIcon.ActivationReason.Trigger, QSystemTrayIcon.ActivationReason.DoubleClick):
            self.asked.emit(Action(Do.OPEN))
