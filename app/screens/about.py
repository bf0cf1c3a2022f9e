"""What this program is."""

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QDialogButtonBox, QLabel, QWidget

from app.screens.dialogs import Dialog
from app.screens.parts import Heading, Text
from app.tray.icons import app_icon
from app.tray.names import one_line
from protocol.version import VERSION


class AboutDialog(Dialog):
    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("About Covey", parent, buttons=QDialogButtonBox.StandardButton.Close)
        picture = QLabel()
        picture.setPixmap(app_icon().pixmap(QSize(64, 64)))
        picture.setAccessibleName("Covey's picture")
        self._versions = Text(name="Versions")
        self.body.addWidget(picture)
        self.body.addWidget(Heading("Covey"))
        self.body.addWidget(self._versions)
        self.body.addWidget(Text("Joins a person's machines into one private network over WireGuard."))
        self.body.addWidget(Text("Free software under the Apache License 2.0. Qt is used under the LGPL, version 3.", dim=True))
        self.show_helper("")

    def show_helper(self, version: str) -> None:
        self._versions.setText(f"Version {VERSION}; helper {one_line(version, 40) or 'not running'}")
