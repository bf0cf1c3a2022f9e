"""What happened, as a list of moments and sentences, the newest first."""

from collections.abc import Sequence
from datetime import datetime

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from app.screens.parts import Text, plain_tooltip
from app.tray.names import one_line
from protocol.journal import JournalEvent

LONGEST = 300  # characters of a sentence
FOR_ENGINEERS = frozenset(("candidates", "mtu"))  # kinds that the list leaves out; the report has them
NOTHING = "Nothing has happened yet, or this machine's helper does not tell."


def rows_of(events: Sequence[JournalEvent], now: datetime) -> list[tuple[str, str]]:
    """When and what, for people. Pure."""
    rows = []
    for event in events:
        if event["kind"] in FOR_ENGINEERS:
            continue
        count = event.get("count", 1)
        said = one_line(event["sentence"], LONGEST)
        rows.append((moment_text(event["time"], now), f"{said} ({count} times)" if count > 1 else said))
    return rows


def moment_text(text: str, now: datetime) -> str:
    """The time of day, with the day where it is not today's; in the time zone of `now`. Pure."""
    try:
        moment = datetime.fromisoformat(text).astimezone(now.tzinfo)
    except (ValueError, OverflowError):
        return "?"
    if moment.date() == now.date():
        return f"{moment:%H:%M:%S}"
    return f"{moment:%a %H:%M:%S}" if abs((now - moment).days) < 7 else f"{moment:%Y-%m-%d %H:%M}"


class Happened(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self._empty = Text(NOTHING)
        self._table = QTableWidget(0, 2)
        self._table.setHorizontalHeaderLabels(["When", "What happened"])
        self._table.setAccessibleName("What happened")
        self._table.verticalHeader().hide()
        self._table.setShowGrid(False)
        self._table.setAlternatingRowColors(True)
        self._table.setWordWrap(True)
        self._table.setTabKeyNavigation(False)
        self._table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self._table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        header = self._table.horizontalHeader()
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self._table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self._rows: list[tuple[str, str]] = []
        self._table.hide()
        column = QVBoxLayout(self)
        column.addWidget(self._empty)
        column.addWidget(self._table, 1)
        column.addStretch(0)

    def show_events(self, events: Sequence[JournalEvent], now: datetime) -> None:
        """Newest first; `now` with a time zone."""
        rows = rows_of(events, now)
        if rows == self._rows:
            return
        self._rows = rows
        self._empty.setVisible(not rows)
        self._table.setVisible(bool(rows))
        bar = self._table.verticalScrollBar()
        place = bar.value()
        self._table.setRowCount(len(rows))
        for number, row in enumerate(rows):
            for column, text in enumerate(row):
                item = QTableWidgetItem(text)
                item.setTextAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
                item.setToolTip(plain_tooltip(text) if column else "")
                self._table.setItem(number, column, item)
        bar.setValue(place)
