"""Signing in: what the person has to do, with the address and the code to copy, and a picture for the phone's camera."""

import time
from typing import Protocol

import segno
from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QColor, QPainter, QPixmap
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app.screens.parts import CopyField, Heading, Text
from app.screens.words import countdown
from app.tray.names import one_line

QUIET = 4  # modules around a QR code (ISO/IEC 18004, section 6.3.8)
MODULE = 4  # pixels


class Prompt(Protocol):
    """What `app.login` says that a person has to do."""

    @property
    def url(self) -> str: ...
    @property
    def user_code(self) -> str: ...
    @property
    def expires_in(self) -> float: ...
    @property
    def complete_url(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def note(self) -> str: ...


class SignInProgress(QWidget):
    """Signals:
    cancelled: the person gives up.
    open_asked: the person wants the browser at this address.
    """

    cancelled = Signal()
    open_asked = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._prompt: Prompt | None = None
        self._ends = 0.0
        self._title, self._what = Heading("Sign in"), Text(name="What to do")
        self._url, self._code = CopyField("sign-in address"), CopyField("code")
        self._code_label = Text("Code")
        self._note, self._left = Text(name="What else to know"), Text(name="Time left", dim=True)
        self._picture = QLabel()
        self._picture.setAccessibleName("QR code of the sign-in address")
        self._picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._open, cancel = QPushButton("&Open the browser again"), QPushButton("Cancel")
        cancel.clicked.connect(self.cancelled)
        self._open.clicked.connect(lambda: self.open_asked.emit(self._url.text()))
        buttons = QHBoxLayout()
        buttons.addWidget(self._open)
        buttons.addStretch(1)
        buttons.addWidget(cancel)
        layout = QVBoxLayout(self)
        layout.addStretch(1)
        for widget in (self._title, self._what, self._picture, Text("Address"), self._url, self._code_label, self._code):
            layout.addWidget(widget)
        layout.addWidget(self._note)
        layout.addWidget(self._left)
        layout.addLayout(buttons)
        layout.addStretch(2)
        self._clock = QTimer(self)
        self._clock.setInterval(1000)
        self._clock.timeout.connect(self._tick)
        self.show_prompt(None)

    def show_prompt(self, prompt: Prompt | None) -> None:
        """None: the flow is being asked for."""
        if prompt is self._prompt and prompt is not None:
            return
        self._prompt = prompt
        is_device = prompt is not None and prompt.kind == "device"
        if prompt is None:
            self._what.setText("Asking the server how to sign in…")
        elif is_device:
            self._what.setText("Open this address on any device with a browser, a phone for example, and type the code.")
        elif prompt.note:  # which says what to do instead of waiting for a browser
            self._what.setText(one_line(prompt.note, 300))
        else:
            self._what.setText("Your browser shows the sign-in page. When you are done there, Covey goes on by itself.")
        self._url.show_text(prompt.url if prompt else "")
        self._url.setEnabled(prompt is not None)
        self._code.show_text(prompt.user_code if prompt else "")
        self._note.setText(breakable(one_line(prompt.note, 300)) if prompt is not None and is_device else "")
        self._note.setVisible(bool(self._note.text()))
        self._code.setVisible(is_device)
        self._code_label.setVisible(is_device)
        self._open.setVisible(prompt is not None and not is_device)
        self._picture.setVisible(is_device)
        if prompt is not None and is_device:
            self._picture.setPixmap(qr_picture(prompt.complete_url or prompt.url, self.devicePixelRatioF()))
        self._ends = time.monotonic() + prompt.expires_in if prompt else 0.0
        self._tick()

    def showEvent(self, event: object) -> None:
        self._clock.start()

    def hideEvent(self, event: object) -> None:
        self._clock.stop()

    def _tick(self) -> None:
        self._left.setText(f"Time left: {countdown(self._ends - time.monotonic())}" if self._prompt else "")


def breakable(text: str) -> str:
    """The text with room for a line's end after each colon, so that a fingerprint is seen whole."""
    return text.replace(":", ":\u200b")


def qr_picture(text: str, ratio: float) -> QPixmap:
    """Black on white, whatever the desktop's colours are: cameras want that."""
    rows = [list(row) for row in segno.make(text, error="m").matrix]
    size = len(rows) + 2 * QUIET
    picture = QPixmap(int(size * MODULE * ratio), int(size * MODULE * ratio))
    picture.setDevicePixelRatio(ratio)
    picture.fill(QColor("white"))
    painter = QPainter(picture)
    for y, row in enumerate(rows):
        for x, dark in enumerate(row):
            if dark:
                painter.fillRect((x + QUIET) * MODULE, (y + QUIET) * MODULE, MODULE, MODULE, QColor("black"))
    painter.end()
    return picture
