"""Every screen as a picture, to look at: `python -m tests.gui.gallery FOLDER [--dark]`; QT_SCALE_FACTOR makes it larger."""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication, QLabel, QWidget

from app.screens.about import AboutDialog
from app.screens.accounts import AccountsDialog
from app.screens.chart import History, Sample
from app.screens.main_window import MainWindow
from app.screens.settings_dialog import SettingsDialog, Values
from app.screens.troubleshoot import TroubleshootDialog
from app.state import AppState, Doing, Failure, Helper
from helper.preferences import DEFAULTS
from protocol.journal import JournalEvent
from protocol.local_api import PeerStatus, StatusDocument
from tests.unit.helper.local_api.scripted import peer, relayed, status_document

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
HOSTILE = "<b>bold</b><img src=x> & \u202eevil\u2066 " + "long" * 60
DOCTOR = {
    "checks": [
        {"id": "helper", "ok": True, "sentence": "The helper runs and answers.", "next": ""},
        {"id": "udp", "ok": False, "sentence": "This network lets no UDP out.", "next": "Ask whoever runs it to open UDP 3478."},
        {"id": "signal", "ok": True, "sentence": "The signal server answers in 12 ms.", "next": ""},
        {"id": "mtu", "ok": None, "sentence": "No path to measure yet.", "next": ""},
        {"id": "clock", "ok": False, "sentence": HOSTILE, "next": HOSTILE},
    ],
    "peers": [
        {"fqdn": "office-pc.covey.internal", "ip": "", "verdict": {"code": "direct", "sentence": "Direct.", "next": ""}},
        {
            "fqdn": "phone.covey.internal",
            "ip": "",
            "verdict": {
                "code": "relayed-both-symmetric",
                "sentence": "Relayed because both sides are behind symmetric NATs.",
                "next": "Open UDP 51820 on one side's router.",
            },
        },
    ],
}
HAPPENED: list[JournalEvent] = [
    {"sequence": number, "time": time, "kind": kind, "peer": "", "sentence": said, "details": {}}
    for number, (time, kind, said) in enumerate(
        [
            (
                "2026-03-04T11:59:58Z",
                "path",
                "office-pc is reached directly instead of by the relay: a direct path works, 12 ms.",
            ),
            ("2026-03-04T11:59:57Z", "candidates", "not for everybody"),
            (
                "2026-03-04T11:59:50Z",
                "network",
                "The network changed: eth0 10.0.1.5 went, wlan0 192.168.1.7 came, "
                "the default route for IPv4 moved from eth0 (10.0.1.1) to wlan0 (192.168.1.1).",
            ),
            ("2026-03-04T02:10:00Z", "server", "The connection to the signal server was lost: it does not answer."),
            ("2026-03-03T18:00:00Z", "helper", "The helper started."),
            ("2025-12-24T18:00:00Z", "peer", HOSTILE),
        ]
    )
]
TIMED_OUT = Failure("timed-out", "Not connected within 30 s.", "Try again.")


@dataclass(frozen=True, slots=True)
class Asked:
    url: str = "https://203.0.113.10/oauth2/device"
    user_code: str = "BDFG-HKLM"
    expires_in: float = 600.0
    complete_url: str = "https://203.0.113.10/oauth2/device?user_code=BDFG-HKLM"
    kind: str = "device"
    note: str = "A browser will warn of this server's own certificate; it is the right one if its SHA-256 fingerprint is AB:CD."


def usual_peers() -> list[PeerStatus]:
    gone = peer("printer", 4, status="Connecting", connectionType="-", latency=0, reason="The peer has disconnected.")
    return [peer("office-pc", 2, latency=12_400_000), relayed("phone", 3), gone, peer("nas", 5, lossPercent=3.0, latency=380_000)]


def answering(status: StatusDocument) -> AppState:
    return AppState(Helper.ANSWERING, status, NOW.timestamp())


def warned() -> StatusDocument:
    why = "Relayed because both sides are behind a NAT that uses another port for each destination (symmetric)."
    step = "Forward UDP port 51821 to phone on its router, or UDP port 51820 to this machine on this router."
    phone = relayed("phone", 3)
    phone["reason"], phone["verdict"] = why, {"code": "relayed-both-symmetric", "sentence": why, "next": step}
    status = status_document(phone, *(one for one in usual_peers() if one["ip"] != phone["ip"]))
    doctor, blocked = "`covey doctor` says where it fails; Covey tries on by itself.", "This network lets no UDP out."
    away = "The signal server can't be reached. Tunnels stay up; machines that move or start can't find this one meanwhile."
    said = [("signal-unreachable", away, doctor), ("udp-blocked", blocked, "Ask who runs it to let UDP out.")]
    status["warnings"] = [{"code": c, "sentence": s, "next": n, "since": "2026-03-04T11:58:00Z"} for c, s, n in said]
    return status


def states() -> dict[str, AppState]:
    usual = status_document(*usual_peers())
    usual["email"], usual["sessionExpiresAt"] = "ada@example.org", "2026-03-04T15:20:00Z"
    fresh = status_document(state="NeedsLogin")
    fresh["management"]["url"] = ""
    gone = Failure("helper-not-running", "No helper listens at /run/covey/helper.sock.", "Start it.")
    outdated = status_document(*usual_peers())
    outdated["daemonVersion"] = "0.0.9"
    return {
        "connected": answering(usual),
        "warned": answering(warned()),
        "alone": answering(status_document()),
        "idle": answering(status_document(state="Idle")),
        "first-run": answering(fresh),
        "needs-sign-in": answering(status_document(state="NeedsLogin")),
        "connecting": replace(answering(status_document(state="Connecting")), doing=Doing.CONNECTING),
        "sign-in-device": replace(answering(fresh), doing=Doing.SIGNING_IN, prompt=Asked()),
        "sign-in-browser": replace(answering(fresh), doing=Doing.SIGNING_IN, prompt=Asked(kind="browser", user_code="")),
        "missing": AppState(Helper.MISSING, fault=gone),
        "silent": replace(answering(usual), helper=Helper.SILENT),
        "outdated": answering(outdated),
        "failed": replace(answering(status_document(state="Idle")), failure=TIMED_OUT),
        "hostile": answering(status_document(peer(HOSTILE, 9, reason=HOSTILE), peer("\u05e9\u05dc\u05d5\u05dd", 8))),
    }  # fmt: skip


def window_of(state: AppState) -> MainWindow:
    window = MainWindow()
    window.show_state(state, NOW)
    if state.status and state.status["peers"]["details"]:
        history = History()
        for number in range(120):
            history.add(
                Sample(time.monotonic() - 120 + number, None if 40 < number < 55 else 12 + number % 7, 20.0 * (number % 30 == 0))
            )
        window._histories = dict.fromkeys(window._histories, history)
        window.show()
        window.peers.table.selectRow(0)
    return window


def dialogs(state: AppState) -> dict[str, Callable[[], QWidget]]:
    def settings() -> QWidget:
        dialog = SettingsDialog()
        preferences = {**DEFAULTS, "mtu": 1400, "proxy": "http://ada@proxy.example:3128"}
        dialog.show_values(Values(True, False, frozenset({"back"}), preferences), "https://203.0.113.10:443")  # type: ignore[arg-type]
        return dialog

    def accounts() -> QWidget:
        dialog = AccountsDialog()
        profiles = [
            ("default", "https://203.0.113.10", "ada@example.org"),
            ("Work", "https://vpn.example.org", ""),
            (HOSTILE, "", ""),
        ]
        listed = [{"name": name, "server": server, "email": email} for name, server, email in profiles]
        dialog.show_profiles({"active": "default", "profiles": listed})  # type: ignore[typeddict-item]
        return dialog

    def troubleshoot() -> QWidget:
        dialog = TroubleshootDialog()
        dialog.show_state(state, NOW)
        dialog.checks.show_result(DOCTOR)
        return dialog

    def happened() -> QWidget:
        dialog = TroubleshootDialog()
        dialog.happened.show_events(HAPPENED, NOW)
        dialog.show_saved(Path("/home/ada/Documents/covey-report-2026-03-04-1200.zip"), None)
        dialog.tabs.setCurrentWidget(dialog.happened)
        return dialog

    return {"settings": settings, "accounts": accounts, "troubleshoot": troubleshoot, "happened": happened, "about": AboutDialog}


def texts(widget: QWidget) -> str:
    return "\n".join(label.text() for label in widget.findChildren(QLabel) if label.isVisibleTo(widget))


def darken(app: QApplication) -> None:
    palette = QPalette(QColor(45, 47, 50))
    for role, colour in ((QPalette.ColorRole.Base, "#1f2124"), (QPalette.ColorRole.AlternateBase, "#26282b")):
        palette.setColor(role, QColor(colour))
    app.setPalette(palette)


def main(folder: Path, *, dark: bool) -> None:
    found = QApplication.instance()
    app = found if isinstance(found, QApplication) else QApplication([])
    app.setStyle("Fusion")
    if dark:
        darken(app)
    folder.mkdir(parents=True, exist_ok=True)
    makers: dict[str, Callable[[], QWidget]] = {name: lambda state=state: window_of(state) for name, state in states().items()}  # type: ignore[misc]
    for name, make in (makers | dialogs(states()["connected"])).items():
        widget = make()
        widget.show()
        app.processEvents()
        widget.grab().save(str(folder / f"{name}.png"))
        widget.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), dark="--dark" in sys.argv)
