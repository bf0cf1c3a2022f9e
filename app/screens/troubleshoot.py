"""Troubleshoot: checks, what happened, the details as text, and a report to send to whoever helps."""

from datetime import datetime
from pathlib import Path

from PySide6.QtCore import QStandardPaths, Qt, Signal
from PySide6.QtGui import QFontDatabase, QGuiApplication, QHideEvent, QShowEvent
from PySide6.QtWidgets import QDialogButtonBox, QFileDialog, QPlainTextEdit, QPushButton, QTabWidget, QVBoxLayout, QWidget

from app.cli.words import sentence, short_name, span
from app.screens.checks import Checks
from app.screens.dialogs import Dialog
from app.screens.happened import Happened
from app.screens.parts import Text
from app.screens.words import path_word, since_text, state_text
from app.state import AppState, Failure
from app.tray.names import one_line
from app.tray.view import state_line
from protocol.local_api import LinkStatus
from protocol.version import VERSION


def report(state: AppState, now: datetime) -> str:
    """What is known, line by line, without keys. Pure."""
    lines = [f"Covey {VERSION}", state_line(state, now)]
    for failure in (state.fault, state.failure):
        if failure is not None:
            lines += [sentence(failure.sentence), failure.hint]
    status = state.status
    if status is None:
        return "\n".join(one_line(line, 300) for line in lines)
    if status["error"] is not None:
        lines += [sentence(status["error"]["sentence"]), status["error"]["hint"]]
    lines += ["", f"Helper {status['daemonVersion']}, {status['daemonStatus']}, account {status['profile']}"]
    interface = "kernel" if status["usesKernelInterface"] else "userspace"
    if status["interface"]:
        lines.append(f"Interface {status['interface']} ({interface} WireGuard), UDP port {status['wireguardPort']}")
    lines += ["", "Servers", _link("management", status["management"], now), _link("signal", status["signal"], now)]
    for relay in status["relays"]["details"]:
        broken = f"does not work: {relay['error'] or 'not tried yet'}"
        works = f"works, over {relay['transport'].upper()}" if relay["available"] else broken
        lines.append(f"  relay {relay['uri']} {works}")
    if status["networkMapSaved"]:
        age = span(status["networkMapAge"])
        lines.append(f"  The list of machines is a saved one, {age} old: the server has not been reached since the start.")
    lines += [f"  {sentence(note)}" for note in status["notes"]]
    lines += [f"  {sentence(warning['sentence'])} {sentence(warning['next'])}" for warning in status["warnings"]]
    lines += ["", f"Machines: {status['peers']['connected']} of {status['peers']['total']} connected"]
    for peer in status["peers"]["details"]:
        path = path_word(peer)
        lines.append(f"  {short_name(peer)} {peer['ip']}: {state_text(peer)}{'' if path == '-' else ', ' + path.lower()}")
        if peer["reason"]:
            lines.append(f"    {sentence(peer['reason'])} {sentence(peer['verdict']['next'])}")
    return "\n".join(one_line(line.rstrip(), 400) if line else "" for line in lines)


def _link(name: str, link: LinkStatus, now: datetime) -> str:
    since = f" since {since_text(link['since'], now)}" if link["since"] else ""
    error = f": {link['error']}" if link["error"] and not link["connected"] else ""
    return f"  {name} {link['url']} {'connected' if link['connected'] else 'not connected'}{since}{error}"


class TroubleshootDialog(Dialog):
    """Signals:
    checks_asked: a person wants the checks run.
    report_asked: a person wants a report at this Path, over whatever is there.
    shown: it is on the screen (True) or not any more (False).
    """

    checks_asked = Signal()
    report_asked = Signal(object)
    shown = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Covey: troubleshoot", parent, buttons=QDialogButtonBox.StandardButton.Close)
        self.checks, self.happened, self._text = Checks(), Happened(), QPlainTextEdit()
        self.checks.asked.connect(self.checks_asked)
        self._text.setReadOnly(True)
        self._text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self._text.setAccessibleName("Details")
        self._text.setTabChangesFocus(True)
        self._chooser: QFileDialog | None = None
        self._outcome = Text(name="The report")
        self._outcome.hide()
        self._save = self.buttons.addButton("&Save report…", QDialogButtonBox.ButtonRole.ActionRole)
        self._save.setToolTip("A file for whoever helps you. It holds no keys, no names and no public addresses.")
        self._save.clicked.connect(self._on_save)
        self.tabs = QTabWidget()
        self.tabs.addTab(self.checks, "&Checks")
        self.tabs.addTab(self.happened, "&What happened")
        self.tabs.addTab(self._details(), "&Details")
        self.body.addWidget(self.tabs, 1)
        self.body.addWidget(self._outcome)
        self.resize(720, 520)

    def show_state(self, state: AppState, now: datetime) -> None:
        text = report(state, now)
        if text != self._text.toPlainText():
            bar = self._text.verticalScrollBar()
            place = bar.value()
            self._text.setPlainText(text)
            bar.setValue(place)

    def show_saved(self, path: Path, failure: Failure | None) -> None:
        """The report is written, or not."""
        self._save.setEnabled(True)
        if failure is not None:
            self._outcome.setText(f"{sentence(failure.sentence)} {failure.hint}".strip())
        else:
            self._outcome.setText(
                f"The report is saved as {one_line(str(path), 200)}. MANIFEST.txt in it lists what was removed."
            )
        self._outcome.show()

    def _details(self) -> QWidget:
        page = QWidget()
        copy = QPushButton("C&opy all")
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self._text.toPlainText()))
        column = QVBoxLayout(page)
        column.addWidget(Text("What Covey knows about its connections. It holds addresses of your machines, but no keys."))
        column.addWidget(self._text, 1)
        column.addWidget(copy, 0, Qt.AlignmentFlag.AlignLeft)
        return page

    def _on_save(self) -> None:
        if self._chooser is None:
            self._chooser = QFileDialog(self, "Save a report for whoever helps you")
            self._chooser.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
            self._chooser.setNameFilter("ZIP files (*.zip)")
            self._chooser.setDefaultSuffix("zip")
            self._chooser.fileSelected.connect(self._on_chosen)
        self._chooser.setDirectory(QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation))
        self._chooser.selectFile(f"covey-report-{datetime.now().astimezone():%Y-%m-%d-%H%M}.zip")
        self._chooser.open()  # never `exec()`

    def _on_chosen(self, name: str) -> None:
        self._save.setEnabled(False)
        self._outcome.setText("The report is being made…")
        self._outcome.show()
        self.report_asked.emit(Path(name))

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.shown.emit(True)

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self.shown.emit(False)
