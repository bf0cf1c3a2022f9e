"""The checks of Troubleshoot: a mark, a sentence and what to do, one after the other, what is wrong first."""

from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.cli.words import sentence
from app.screens.parts import Heading, Text
from app.state import Failure
from app.tray.names import one_line

PEERS = 50  # that are told of
LONGEST = 400  # characters of a sentence
MARKS = {True: ("✓", "All right", "#2f9e55"), False: ("✗", "Wrong", "#d9534f"), None: ("–", "To know", "")}
INVITATION = "Covey looks at this machine's network, its servers and every path. It takes some seconds and changes nothing."

Row = tuple[bool | None, str, str]  # all right; a sentence; what to do


def rows_of(document: Any) -> tuple[str, list[Row]]:
    """A headline, and the checks with what is wrong first. Damaged parts are left out. Pure."""
    checks = document.get("checks") if isinstance(document, dict) else None
    rows: list[Row] = []
    for check in checks if isinstance(checks, list) else []:
        match check:
            case {"ok": bool() | None as ok, "sentence": str(said), **rest}:
                rows.append((ok, _told(said), _told(rest.get("next")) if ok is False else ""))
    rows.sort(key=lambda row: (row[0] is not False, row[0] is None))
    wrong = sum(row[0] is False for row in rows)
    if not rows:
        return "The helper told nothing.", rows
    if wrong == 0:
        summary = document.get("summary")
        told = _told(summary.get("sentence")) if isinstance(summary, dict) and summary.get("ok") is None else ""
        return told or "Everything that was checked is all right.", rows
    return f"{wrong} of {len(rows)} checks found something wrong." if wrong > 1 else "One check found something wrong.", rows


def peer_rows_of(document: Any) -> list[Row]:
    """Why peers are not reached directly, as far as the checks tell. Pure."""
    peers = document.get("peers") if isinstance(document, dict) else None
    rows: list[Row] = []
    for peer in peers if isinstance(peers, list) else []:
        match peer:
            case {"fqdn": str(fqdn), "verdict": {"code": str(code), "sentence": str(said), **rest}} if said and code != "direct":
                rows.append((None, f"{one_line(fqdn.partition('.')[0], 60)}: {_told(said)}", _told(rest.get("next"))))
    return rows[:PEERS]


def _told(text: Any) -> str:
    return one_line(sentence(text), LONGEST) if isinstance(text, str) else ""


class Checks(QWidget):
    """Signals: asked: a person wants the checks run."""

    asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._headline = Heading("", name="Result of the checks", level=2)
        self._headline.hide()
        self._text = _wrapped(INVITATION)
        self._run = QPushButton("&Run checks")
        self._run.clicked.connect(self._on_clicked)
        self._progress = QProgressBar()
        self._progress.setRange(0, 0)
        self._progress.setTextVisible(False)
        self._progress.setAccessibleName("Checks are running")
        self._progress.hide()
        self._area = QScrollArea()
        self._area.setWidgetResizable(True)
        self._area.setFrameShape(QFrame.Shape.NoFrame)
        self._area.viewport().setAutoFillBackground(False)
        self._area.setAccessibleName("Checks")
        row = QHBoxLayout()
        row.addWidget(self._run)
        row.addWidget(self._progress, 1)
        row.addStretch(0)
        column = QVBoxLayout(self)
        column.addWidget(self._text)
        column.addLayout(row)
        column.addWidget(self._headline)
        column.addWidget(self._area, 1)

    def show_result(self, result: Any) -> None:
        """The doctor's document, or a Failure."""
        self._busy(False)
        if isinstance(result, Failure):
            headline: str = "The checks could not be run."
            rows: list[Row] = [(False, _told(result.sentence), _told(result.hint))]
        else:
            headline, rows = rows_of(result)
            rows += peer_rows_of(result)
        self._headline.setText(headline)
        self._headline.show()
        self._area.setWidget(table := _table(rows))
        table.setAutoFillBackground(False)

    def _on_clicked(self) -> None:
        self._busy(True)
        self.asked.emit()

    def _busy(self, is_busy: bool) -> None:
        self._run.setEnabled(not is_busy)
        self._run.setText("Checking…" if is_busy else "&Run checks again")
        self._progress.setVisible(is_busy)


def _table(rows: list[Row]) -> QWidget:
    table = QWidget()
    grid = QGridLayout(table)
    grid.setColumnStretch(1, 1)
    grid.setHorizontalSpacing(10)
    grid.setVerticalSpacing(8)
    for number, (ok, said, next_step) in enumerate(rows):
        mark, meaning, colour = MARKS[ok]
        label = QLabel(mark)
        label.setAccessibleName(meaning)
        font = label.font()
        font.setBold(ok is not None)
        label.setFont(font)
        if colour:
            palette = label.palette()
            palette.setColor(label.foregroundRole(), QColor(colour))
            label.setPalette(palette)
        text = QVBoxLayout()
        text.setSpacing(1)
        text.addWidget(_wrapped(said, dim=ok is None and not next_step))
        if next_step:
            text.addWidget(_wrapped(f"→ {next_step}"))
        grid.addWidget(label, number, 0, Qt.AlignmentFlag.AlignTop)
        grid.addLayout(text, number, 1)
    grid.setRowStretch(len(rows), 1)
    return table


def _wrapped(text: str, *, dim: bool = False) -> Text:
    """Text of the height that its width asks for."""
    label = Text(text, dim=dim)
    policy = label.sizePolicy()
    policy.setHeightForWidth(True)
    label.setSizePolicy(policy)
    label.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
    return label
