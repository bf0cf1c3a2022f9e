"""What all of Covey's dialogs are: a window of its own that never blocks, closed by Escape, one of a kind at a time."""

from PySide6.QtWidgets import QDialog, QDialogButtonBox, QVBoxLayout, QWidget

from app.tray.icons import app_icon


class Dialog(QDialog):
    """A dialog with a row of buttons below; subclasses fill `body`."""

    def __init__(self, title: str, parent: QWidget | None, *, buttons: QDialogButtonBox.StandardButton) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setWindowIcon(app_icon())
        self.setModal(False)
        self.body = QVBoxLayout()
        self.buttons = QDialogButtonBox(buttons)
        self.buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addLayout(self.body, 1)
        layout.addWidget(self.buttons)

    def bring_up(self) -> None:
        """Show it in front; never `exec()`, which would stop the event loop's coroutines."""
        self.show()
        self.raise_()
        self.activateWindow()
