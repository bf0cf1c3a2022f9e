"""What the helper warns of, above the peers: a sentence and the next step for each."""

from collections.abc import Sequence

from PySide6.QtWidgets import QFrame, QVBoxLayout

from app.cli.words import sentence
from app.screens.parts import Text
from app.tray.names import one_line
from protocol.local_api import WarningBody

MOST = 3  # that are shown; the rest is counted
LONGEST = 300  # characters
AMBER = "rgba(230, 160, 0, {opacity})"  # on light and on dark alike


class WarningStrip(QFrame):
    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("warnings")
        self.setAccessibleName("Warnings")
        border, back = AMBER.format(opacity=0.8), AMBER.format(opacity=0.14)
        self.setStyleSheet(f"#warnings {{ border-left: 4px solid {border}; background: {back}; }}")
        self._text = Text(name="Warnings")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 8, 12, 8)
        layout.addWidget(self._text)
        self.hide()

    def show_warnings(self, warnings: Sequence[WarningBody]) -> None:
        lines = [f"{sentence(one['sentence'])} {sentence(one['next'])}" for one in warnings[:MOST]]
        if (more := len(warnings) - MOST) > 0:
            lines.append(f"{more} more: see Troubleshoot.")
        self._text.setText("\n".join(one_line(line, LONGEST) for line in lines))
        self.setVisible(bool(lines))
