"""The accounts of this machine: one is active; each has a server, a person and a key of its own."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QDialogButtonBox, QHBoxLayout, QLineEdit, QListWidget, QListWidgetItem, QPushButton, QWidget

from app.screens.dialogs import Dialog
from app.screens.parts import Text
from app.tray.names import one_line
from protocol.local_api import MAX_PROFILE_NAME, Profile, ProfilesDocument

NAME = Qt.ItemDataRole.UserRole


def line_of(profile: Profile, active: str) -> str:
    """One account in a line. Pure."""
    parts = [profile["name"] + (" (in use)" if profile["name"] == active else ""), profile["email"], profile["server"]]
    return one_line("  ·  ".join(part for part in parts if part), 200)


class AccountsDialog(Dialog):
    """Signals:
    added, used, removed: the name of the account.
    """

    added = Signal(str)
    used = Signal(str)
    removed = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Covey: accounts", parent, buttons=QDialogButtonBox.StandardButton.Close)
        self._active = ""
        self._list = QListWidget()
        self._list.setAccessibleName("Accounts of this machine")
        self._list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._list.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.resize(480, 320)
        self._use, self._remove, self._add = QPushButton("&Use"), QPushButton("&Remove"), QPushButton("&Add")
        self._name = QLineEdit()
        self._name.setPlaceholderText("Name of a new account, such as Work")
        self._name.setAccessibleName("Name of a new account")
        self._name.setMaxLength(MAX_PROFILE_NAME)
        self._failure = Text(name="What went wrong")
        self._failure.hide()
        self.body.addWidget(Text("Each account joins a network of its own. One of them is in use at a time."))
        self.body.addWidget(self._list, 1)
        for widgets in ((self._use, self._remove), (self._name, self._add)):
            row = QHBoxLayout()
            for widget in widgets:
                row.addWidget(widget, 1 if widget is self._name else 0)
            if widgets[0] is self._use:
                row.addStretch(1)
            self.body.addLayout(row)
        self.body.addWidget(self._failure)
        self._list.currentItemChanged.connect(self._look)
        self._list.itemActivated.connect(lambda item: self.used.emit(item.data(NAME)))
        self._name.textChanged.connect(self._look)
        self._name.returnPressed.connect(self._on_add)
        self._use.clicked.connect(lambda: self.used.emit(self._chosen()))
        self._remove.clicked.connect(lambda: self.removed.emit(self._chosen()))
        self._add.clicked.connect(self._on_add)
        self._look()

    def show_profiles(self, document: ProfilesDocument | None, failure: str = "") -> None:
        chosen = self._chosen()
        self._active = document["active"] if document else ""
        self._list.clear()
        for profile in document["profiles"] if document else []:
            item = QListWidgetItem(line_of(profile, self._active))
            item.setData(NAME, profile["name"])
            self._list.addItem(item)
            if profile["name"] == chosen:
                self._list.setCurrentItem(item)
        self._failure.setText(one_line(failure, 300))
        self._failure.setVisible(bool(failure))
        self._look()

    def _chosen(self) -> str:
        item = self._list.currentItem()
        return str(item.data(NAME)) if item is not None else ""

    def _look(self) -> None:
        can = bool(self._chosen()) and self._chosen() != self._active
        self._use.setEnabled(can)
        self._remove.setEnabled(can)
        self._add.setEnabled(bool(self._name.text().strip()))

    def _on_add(self) -> None:
        if name := self._name.text().strip():
            self._name.clear()
            self.added.emit(name)
