"""The list of peers: searched, sorted, and changed in place, so that thousands stay smooth and the selection stays."""

from collections.abc import Iterable
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QSortFilterProxyModel, Qt, Signal
from PySide6.QtGui import QBrush, QColor, QGuiApplication, QKeySequence, QPalette, QShortcut
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QLabel, QLineEdit, QStackedLayout, QTableView, QVBoxLayout, QWidget

from app.screens.words import PeerRow, latency_text, loss_text

Index = QModelIndex | QPersistentModelIndex
COLUMNS = ("Name", "Address", "State", "Path", "Latency", "Loss")
NOBODY = "No other machine is in this network yet."
NOT_UP = "Connect to see the other machines."
NOT_KNOWN = "The other machines show up here once this one is connected."
ROOT = QModelIndex()
SORT = Qt.ItemDataRole.UserRole
LAST = float("inf")


class PeerModel(QAbstractTableModel):
    """Attributes:
    rows: as shown, before sorting; by the order in which peers were first seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[PeerRow] = []

    def show_rows(self, rows: Iterable[PeerRow]) -> None:
        """Make the rows these: removed, changed and added one stretch at a time, never as a whole."""
        wanted = {row.key: row for row in rows}
        for first, last in reversed(_stretches([number for number, row in enumerate(self.rows) if row.key not in wanted])):
            self.beginRemoveRows(ROOT, first, last)
            del self.rows[first : last + 1]
            self.endRemoveRows()
        changed = [number for number, row in enumerate(self.rows) if wanted[row.key] != row]
        measured = all(_differ_in_measures(self.rows[number], wanted[self.rows[number].key]) for number in changed)
        for number in changed:
            self.rows[number] = wanted[self.rows[number].key]
        for first, last in _stretches(changed):  # only the columns that changed: a list sorted by another stays sorted
            self.dataChanged.emit(self.index(first, 4 if measured else 0), self.index(last, len(COLUMNS) - 1))
        known = {row.key for row in self.rows}
        added = [row for key, row in wanted.items() if key not in known]
        if added:
            self.beginInsertRows(ROOT, len(self.rows), len(self.rows) + len(added) - 1)
            self.rows += added
            self.endInsertRows()

    def rowCount(self, parent: Index = ROOT) -> int:
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index = ROOT) -> int:
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation is Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section]
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row, column = self.rows[index.row()], index.column()
        match role:
            case Qt.ItemDataRole.DisplayRole | Qt.ItemDataRole.AccessibleTextRole:
                return _text(row, column)
            case Qt.ItemDataRole.UserRole:
                return _sorted_by(row, column)
            case Qt.ItemDataRole.TextAlignmentRole if column >= 4:
                return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            case Qt.ItemDataRole.ForegroundRole if row.state != "Connected":
                return QBrush(QGuiApplication.palette().color(QPalette.ColorRole.PlaceholderText))
            case Qt.ItemDataRole.ForegroundRole if column == 3:
                return QBrush(_path_colour(row.path))
        return None


class PeerList(QWidget):
    """Signals:
    chosen: the key of the peer that is selected now; empty for none.
    """

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._model, self._sorted = PeerModel(), QSortFilterProxyModel(self)
        self._sorted.setSourceModel(self._model)
        self._sorted.setSortRole(SORT)
        self._sorted.setFilterKeyColumn(-1)
        self._sorted.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self._sorted.setSortCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search machines")
        self.search.setAccessibleName("Search machines by name, address, state or path")
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._sorted.setFilterFixedString)
        self.search.textChanged.connect(self._look)
        QShortcut(QKeySequence(QKeySequence.StandardKey.Find), self, self.search.setFocus)
        self.table = self._make_table()
        self._why_none = NOBODY
        self._nobody = QLabel(NOBODY)
        self._nobody.setTextFormat(Qt.TextFormat.PlainText)
        self._nobody.setWordWrap(True)
        self._nobody.setAlignment(Qt.AlignmentFlag.AlignCenter)
        below = QWidget()
        self._stack = QStackedLayout(below)
        self._stack.addWidget(self.table)
        self._stack.addWidget(self._nobody)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.search)
        layout.addWidget(below, 1)

    def show_rows(self, rows: Iterable[PeerRow], why_none: str = NOBODY) -> None:
        """`why_none`: what to say where there are no peers."""
        self._why_none = why_none
        self._model.show_rows(rows)
        self._look()

    def _look(self) -> None:
        """Say why the list is empty."""
        is_empty = self._sorted.rowCount() == 0
        if is_empty:
            searched = bool(self.search.text() and self._model.rows)
            self._nobody.setText("No machine matches the search." if searched else self._why_none)
        self._stack.setCurrentIndex(int(is_empty))

    def _make_table(self) -> QTableView:
        table = QTableView()
        table.setModel(self._sorted)
        table.setAccessibleName("Machines of this network")
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setTabKeyNavigation(False)
        table.setShowGrid(False)
        table.setWordWrap(False)
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(table.fontMetrics().height() + 10)
        header = table.horizontalHeader()
        header.setHighlightSections(False)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        letter = table.fontMetrics().averageCharWidth()
        for column, letters in ((1, 17), (2, 16), (3, 10), (4, 11), (5, 9)):
            table.setColumnWidth(column, letter * letters)
        table.setSortingEnabled(True)
        table.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        table.selectionModel().selectionChanged.connect(self._on_selected)
        return table

    def _on_selected(self) -> None:
        rows = self.table.selectionModel().selectedRows()
        self.chosen.emit(self._model.rows[self._sorted.mapToSource(rows[0]).row()].key if rows else "")


def _path_colour(path: str) -> QColor:
    """Green and amber that can be read on this desktop's ground; the word says it, too."""
    is_dark = QGuiApplication.palette().color(QPalette.ColorRole.Base).lightness() < 128
    return QColor(("#4cc38f" if is_dark else "#12805c") if path == "Direct" else ("#e0a03c" if is_dark else "#9a5b00"))


def _text(row: PeerRow, column: int) -> str:
    match column:
        case 4:
            return latency_text(row.latency)
        case 5:
            return loss_text(row.loss)
        case _:
            return (row.name, row.address, row.state, row.path)[column]


def _sorted_by(row: PeerRow, column: int) -> str | float:
    """What a column sorts by: addresses by their numbers, what is unknown last."""
    match column:
        case 1:
            parts = row.address.split(".")
            return "".join(part.rjust(3, "0") for part in parts) if len(parts) == 4 else row.address
        case 4 | 5:
            value = row.latency if column == 4 else row.loss
            return LAST if value is None else value
        case _:
            return (row.name, row.address, row.state, row.path)[column]


def _differ_in_measures(one: PeerRow, other: PeerRow) -> bool:
    """Whether nothing but latency and loss tells two rows apart."""
    return (one.name, one.address, one.state, one.path) == (other.name, other.address, other.state, other.path)


def _stretches(numbers: list[int]) -> list[tuple[int, int]]:
    """Ascending numbers as (first, last) of each unbroken run."""
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1] = found[-1][0], number
        else:
            found.append((number, number))
    return found
