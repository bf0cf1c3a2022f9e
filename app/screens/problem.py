"""What keeps the app from its work, with the fix: the helper is missing, silent or of another version."""

import sys
from dataclasses import dataclass

from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.screens.parts import CopyField, Heading, Text
from app.state import AppState, Helper
from app.tray.names import one_line


@dataclass(frozen=True, slots=True)
class Trouble:
    """Attributes:
    command: what to run, to copy; empty where no command helps.
    """

    title: str
    text: str
    command: str = ""


def trouble_of(state: AppState) -> Trouble | None:
    """What to show instead of the peers; None if the helper works with us. Pure."""
    on_linux = sys.platform.startswith("linux")
    match state.helper:
        case Helper.MISSING:
            why = state.fault
            if why is not None and why.code == "no-permission":
                command = "sudo usermod -aG covey $USER" if on_linux else ""
                return Trouble("Covey's helper does not talk to you", f"{why.sentence} {why.hint}", command)
            text = "The helper makes the connections and keeps them. Without it the others can't be reached, or not for long."
            return Trouble("Covey's helper is not running", text, "sudo systemctl start covey-helper" if on_linux else "")
        case Helper.SILENT:
            text = (
                "The helper is there but does not answer. The tunnel may work on; what is known of it is old. "
                "If it stays like this, restart the helper."
            )
            return Trouble("Covey's helper does not answer", text, "sudo systemctl restart covey-helper" if on_linux else "")
        case Helper.ANSWERING if state.status is None and state.fault is not None:
            return Trouble("Covey's helper is of another version", f"{state.fault.sentence} {state.fault.hint}")
        case _:
            return None


class Problem(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self._title, self._text = Heading(name="Problem"), Text(name="What it means")
        self._label, self._command = Text("This helps:"), CopyField("command")
        layout = QVBoxLayout(self)
        layout.addStretch(1)
        for widget in (self._title, self._text, self._label, self._command):
            layout.addWidget(widget)
        layout.addStretch(2)

    def show_trouble(self, trouble: Trouble) -> None:
        self._title.setText(trouble.title)
        self._text.setText(one_line(trouble.text, 600))
        self._command.show_text(trouble.command)
        for widget in (self._label, self._command):
            widget.setVisible(bool(trouble.command))
