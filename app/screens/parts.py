"""Small widgets that the screens share: plain text, text to copy, a heading."""

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QFont, QGuiApplication
from PySide6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QPushButton, QSizePolicy, QToolButton, QWidget


class Text(QLabel):
    """Plain text that wraps, can be selected, and is read out under its name."""

    def __init__(self, text: str = "", *, name: str = "", dim: bool = False, wraps: bool = True) -> None:
        super().__init__(text)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(wraps)
        if wraps:  # a word longer than the room is cut, and does not push everything out of the window
            self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        if name:
            self.setAccessibleName(name)
        if dim:
            self.setForegroundRole(self.foregroundRole().PlaceholderText)


class Heading(Text):
    """`level` 1 is a window's own, 2 a part's."""

    def __init__(self, text: str = "", *, name: str = "", level: int = 1) -> None:
        super().__init__(text, name=name)
        font = QFont(self.font())
        font.setPointSizeF(font.pointSizeF() * (1.5 if level == 1 else 1.1))
        font.setWeight(QFont.Weight.DemiBold)
        self.setFont(font)


class ElidedText(QLabel):
    """One line that is cut with an ellipsis where there is no room; the whole is its tooltip."""

    def __init__(self, *, name: str = "", dim: bool = False) -> None:
        super().__init__()
        self._whole = ""
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Preferred)
        if name:
            self.setAccessibleName(name)
        if dim:
            self.setForegroundRole(self.foregroundRole().PlaceholderText)

    def sizeHint(self) -> QSize:
        return QSize(self.fontMetrics().horizontalAdvance(self._whole) + 2, super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        return QSize(20, super().minimumSizeHint().height())

    def show_text(self, text: str) -> None:
        self._whole = text
        self.updateGeometry()
        self._elide()

    def resizeEvent(self, event: object) -> None:
        self._elide()

    def _elide(self) -> None:
        cut = self.fontMetrics().elidedText(self._whole, Qt.TextElideMode.ElideRight, self.width())
        self.setText(cut)
        self.setToolTip(plain_tooltip(self._whole) if cut != self._whole else "")


def centred(column: QWidget, width: int = 560) -> QWidget:
    """The widget in the middle of the room, no wider than is good to read."""
    around = QWidget()
    row = QHBoxLayout(around)
    column.setMaximumWidth(width)
    row.addStretch(1)
    row.addWidget(column, 100)
    row.addStretch(1)
    return around


class CopyField(QWidget):
    """A text to read and to copy."""

    copied = Signal(str)

    def __init__(self, name: str, text: str = "") -> None:
        super().__init__()
        self._line = QLineEdit(text)
        self._line.setReadOnly(True)
        self._line.setAccessibleName(name)
        button = QPushButton("Copy")
        button.setAccessibleName(f"Copy {name}")
        button.clicked.connect(self._copy)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._line, 1)
        row.addWidget(button)

    def show_text(self, text: str) -> None:
        if text != self._line.text():
            self._line.setText(text)
            self._line.setCursorPosition(0)

    def text(self) -> str:
        return self._line.text()

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self._line.text())
        self.copied.emit(self._line.text())


class CopyButton(QToolButton):
    """Copies what stands beside it."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.text_to_copy = ""
        self.setText("Copy")
        self.setAutoRaise(True)
        self.setAccessibleName(f"Copy {name}")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.text_to_copy))


def plain_tooltip(text: str) -> str:
    """A tooltip that Qt can't take for markup: without the signs that begin a tag."""
    return text.replace("<", "‹").replace(">", "›")
