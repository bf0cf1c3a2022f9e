"""Troubleshoot: what does not work and why, in sentences, and all of it as text to send to whoever helps."""

from datetime import datetime

from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import QDialogButtonBox, QPlainTextEdit, QWidget

from app.cli.words import sentence, short_name
from app.screens.dialogs import Dialog
from app.screens.parts import Text
from app.screens.words import path_word, since_text, state_text
from app.state import AppState
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
        lines.append("  The list of machines is an old one: the server has not been reached since the start.")
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
    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Covey: troubleshoot", parent, buttons=QDialogButtonBox.StandardButton.Close)
        self._text = QPlainTextEdit()
        self._text.setReadOnly(True)
        self._text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self._text.setAccessibleName("Report")
        self._text.setTabChangesFocus(True)
        copy = self.buttons.addButton("&Copy all", QDialogButtonBox.ButtonRole.ActionRole)
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self._text.toPlainText()))
        self.body.addWidget(Text("What Covey knows about its connections. It holds addresses of your machines, but no keys."))
        self.body.addWidget(self._text, 1)
        self.resize(720, 480)

    def show_state(self, state: AppState, now: datetime) -> None:
        text = report(state, now)
        if text != self._text.toPlainText():
            bar = self._text.verticalScrollBar()
            place = bar.value()
            self._text.setPlainText(text)
            bar.setValue(place)
