"""The window: the state in words, the list of peers with one in detail, or whatever has to be dealt with first."""

import time
from datetime import UTC, datetime

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QCloseEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QPushButton,
    QSplitter,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.screens.chart import History, Sample
from app.screens.detail import PeerDetail
from app.screens.first_run import FirstRun
from app.screens.parts import CopyButton, ElidedText, Heading, Text, centred
from app.screens.peers import NOBODY, NOT_KNOWN, NOT_UP, PeerList
from app.screens.problem import Problem, trouble_of
from app.screens.sign_in import SignInProgress
from app.screens.warning_strip import WarningStrip
from app.screens.words import PeerRow, key_of
from app.state import AppState, Doing
from app.tray.icons import app_icon, tray_icon, variant_of_this_desktop
from app.tray.names import one_line
from app.tray.view import Action, Do, detail_lines, icon_of, own_address, own_name, shown_warnings, state_line

ICON = 40  # pixels, before scaling
LONGEST_NOTE = 300  # characters


class MainWindow(QMainWindow):
    """Signals:
    asked: a person wants that; the argument is the Action, as from the tray.
    join_asked: a person wants to connect with this UpRequest.
    open_asked: a person wants the browser at this address.
    shown: the window is on the screen (True) or not any more (False): only then counters are worth asking for.
    closed: a person closed it.
    """

    asked = Signal(object)
    join_asked = Signal(object)
    open_asked = Signal(str)
    shown = Signal(bool)
    closed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setWindowTitle("Covey")
        self.setWindowIcon(app_icon())
        self.resize(QSize(900, 560))
        self.setMinimumSize(QSize(480, 380))
        self._state = AppState()
        self._histories: dict[str, History] = {}
        self._chosen = ""
        self._wants_first_run = False
        self._icon, self._line = QLabel(), Heading(name="State")
        self._icon.setAccessibleName("State as a picture")
        self._who, self._copy = ElidedText(name="This machine", dim=True), CopyButton("this machine's address")
        self._connect = QPushButton()
        self._notes = Text(name="What else there is to know")
        self._warnings = WarningStrip()
        self.peers, self._detail = PeerList(), PeerDetail()
        self.first_run, self._sign_in, self._problem = FirstRun(), SignInProgress(), Problem()
        self._pages = QStackedWidget()
        self._both = QSplitter(Qt.Orientation.Horizontal)
        self._lay_out()
        self._wire()

    # ---- what is shown

    def show_state(self, state: AppState, now: datetime) -> None:
        """Draw all of it; `now` in UTC."""
        self._state = state
        self._icon.setPixmap(tray_icon(icon_of(state), variant_of_this_desktop()).pixmap(QSize(ICON, ICON)))
        line = one_line(state_line(state, now), 200)
        self._icon.setAccessibleDescription(line)
        self.setWindowTitle(f"Covey: {line}")
        self._line.setText(line)
        status = state.status
        who = f"{own_name(status)}  {own_address(status)}  {status['email']}".strip() if status is not None else ""
        self._who.show_text(one_line(who, 200))
        self._copy.text_to_copy = own_address(status) if status is not None else ""
        self._copy.setVisible(bool(self._copy.text_to_copy))
        self._notes.setText("\n".join(detail_lines(state, now, LONGEST_NOTE, warnings=False)))
        self._warnings.show_warnings(shown_warnings(state) if trouble_of(state) is None else [])
        self._notes.setVisible(bool(self._notes.text()) and trouble_of(state) is None)
        self._show_button()
        self._show_page()
        if status is not None:
            rows = [PeerRow.of(peer) for peer in status["peers"]["details"]]
            self._remember(rows)
            self.peers.show_rows(rows, _why_nobody(state))
            self._show_detail(now)

    def open_first_run(self, link: str = "") -> None:
        """Ask for a server; a link is filled in and waits for the person's word."""
        self._wants_first_run = True
        if link:
            self.first_run.fill_in(link)
        self._show_page()
        self.bring_up()

    def bring_up(self) -> None:
        """Show the window in front of the others."""
        self.setWindowState(self.windowState() & ~Qt.WindowState.WindowMinimized)
        self.show()
        self.raise_()
        self.activateWindow()

    # ---- how

    def _show_button(self) -> None:
        state, status = self._state, self._state.status
        busy = state.doing in (Doing.CONNECTING, Doing.SIGNING_IN, Doing.SWITCHING)
        if busy:
            text, action = "&Cancel", Do.CANCEL
        elif status is not None and status["daemonStatus"] in ("Connected", "Connecting"):
            text, action = "&Disconnect", Do.DISCONNECT
        elif state.needs_sign_in:
            text, action = "&Sign in", Do.SIGN_IN
        else:
            text, action = "&Connect", Do.CONNECT
        self._connect.setText(text)
        self._connect.setAccessibleName(text.replace("&", ""))
        self._connect.setProperty("does", action.value)
        ready = status is not None and trouble_of(state) is None
        self._connect.setEnabled(busy or (ready and state.doing is None))
        self._connect.setVisible(self._page() not in (self.first_run, self._sign_in))

    def _page(self) -> QWidget:
        state = self._state
        if (trouble := trouble_of(state)) is not None:
            self._problem.show_trouble(trouble)
            return self._problem
        if state.doing is Doing.SIGNING_IN:
            self._sign_in.show_prompt(state.prompt)
            return self._sign_in
        if state.status is not None and (self._wants_first_run or not state.is_set_up):
            return self.first_run
        return self._both

    def _show_page(self) -> None:
        state = self._state
        if state.is_up:
            self._wants_first_run = False
        page = self._page()
        if page is self.first_run:
            self.first_run.can_cancel(state.is_set_up)
            if state.failure is not None:
                self.first_run.show_failure(f"{state.failure.sentence} {state.failure.hint}")
        self._pages.setCurrentWidget(self._around.get(page, page))  # type: ignore[call-overload]

    def _remember(self, rows: list[PeerRow]) -> None:
        at = time.monotonic()
        kept = {row.key: self._histories.get(row.key) or History() for row in rows}
        for row in rows:
            kept[row.key].add(Sample(at, row.latency, row.loss or 0.0))
        self._histories = kept

    def _show_detail(self, now: datetime) -> None:
        peers = self._state.status["peers"]["details"] if self._state.status else []
        peer = next((peer for peer in peers if key_of(peer) == self._chosen), None) if self._chosen else None
        self._detail.show_peer(peer, self._histories.get(self._chosen), now)
        self._detail.setVisible(bool(peers))

    def _on_chosen(self, key: str) -> None:
        self._chosen = key
        self._show_detail(datetime.now(UTC))

    def _on_back(self) -> None:
        self._wants_first_run = False
        self._show_page()
        self._show_button()

    def _on_button(self) -> None:
        self.asked.emit(Action(Do(self._connect.property("does"))))

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        words = QVBoxLayout()
        words.setSpacing(2)
        machine = QHBoxLayout()
        machine.addWidget(self._who)
        machine.addWidget(self._copy)
        machine.addStretch(1)
        words.addWidget(self._line)
        words.addLayout(machine)
        head.addWidget(self._icon)
        head.addSpacing(8)
        head.addLayout(words, 1)
        head.addWidget(self._connect)
        for text, do in (("Settings", Do.SETTINGS), ("Troubleshoot", Do.TROUBLESHOOT)):
            button = QToolButton()
            button.setText(text)
            button.setAutoRaise(True)
            button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            button.setAccessibleName(text)
            button.clicked.connect(lambda _=False, do=do: self.asked.emit(Action(do)))
            head.addWidget(button)
        self._both.addWidget(self.peers)
        self._both.addWidget(self._detail)
        self._both.setStretchFactor(0, 3)
        self._both.setStretchFactor(1, 2)
        self._both.setSizes([560, 320])
        self._both.setChildrenCollapsible(False)
        self._around = {page: centred(page) for page in (self.first_run, self._sign_in, self._problem)}
        for page in (self._both, *self._around.values()):
            self._pages.addWidget(page)
        body = QWidget()
        layout = QVBoxLayout(body)
        layout.setContentsMargins(16, 14, 16, 14)
        layout.addLayout(head)
        layout.addWidget(self._notes)
        layout.addWidget(self._warnings)
        layout.addSpacing(6)
        layout.addWidget(self._pages, 1)
        self.setCentralWidget(body)

    def _wire(self) -> None:
        self._connect.clicked.connect(self._on_button)
        self.peers.chosen.connect(self._on_chosen)
        self.first_run.asked.connect(self.join_asked)
        self.first_run.cancelled.connect(self._on_back)
        self._sign_in.cancelled.connect(lambda: self.asked.emit(Action(Do.CANCEL)))
        self._sign_in.open_asked.connect(self.open_asked)
        QShortcut(QKeySequence(QKeySequence.StandardKey.Close), self, self.close)

    def showEvent(self, event: object) -> None:
        self.shown.emit(True)

    def hideEvent(self, event: object) -> None:
        self.shown.emit(False)

    def closeEvent(self, event: QCloseEvent) -> None:
        super().closeEvent(event)
        self.closed.emit()


def _why_nobody(state: AppState) -> str:
    """What the list says while it is empty."""
    if state.is_up:
        return NOBODY
    is_coming = state.doing in (Doing.CONNECTING, Doing.SWITCHING) or (
        state.status is not None and state.status["daemonStatus"] == "Connecting"
    )
    return NOT_KNOWN if is_coming else NOT_UP
