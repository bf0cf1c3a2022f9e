"""The windows: what they show, what a keyboard reaches, and what strangers' text can't do."""

import ast
import inspect
import random
from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QComboBox, QLabel, QLineEdit, QWidget

from app import screens
from app.screens.accounts import AccountsDialog
from app.screens.chart import SPAN, History, Sample
from app.screens.first_run import request_of
from app.screens.peers import PeerList, PeerModel
from app.screens.problem import trouble_of
from app.screens.troubleshoot import TroubleshootDialog, report
from app.screens.words import PeerRow
from app.state import AppState, Failure, Helper
from app.tray.view import Action, Do
from helper.preferences import DEFAULTS
from protocol.join_link import JoinLink, ServerLocation
from protocol.local_api import PeerStatus, Preferences, UpRequest
from tests.gui.gallery import HOSTILE, NOW, Asked, answering, dialogs, states, texts, window_of
from tests.unit.helper.local_api.scripted import peer, relayed, status_document

LINK = str(JoinLink(ServerLocation(("203.0.113.10",), 443, bytes(range(32))), "5b6c8e1d-0000-4000-8000-000000000000"))
PREFERENCES: Preferences = DEFAULTS

pytestmark = pytest.mark.usefixtures("app")


def crowd(count: int, latency: int = 5) -> list[PeerStatus]:
    return [peer(f"machine-{number}", number % 250, publicKey=f"key{number}", latency=latency * 10**6) for number in range(count)]


def show(listed: PeerList | PeerModel, peers: list[PeerStatus]) -> None:
    listed.show_rows(PeerRow.of(one) for one in peers)


def names(listed: PeerList) -> list[str]:
    shown = listed.table.model()
    return [shown.index(row, 0).data() for row in range(shown.rowCount())]


# ---- peers


def test_a_search_finds_by_name_address_state_and_path() -> None:
    listed = PeerList()
    show(listed, [peer("office", 2), relayed("phone", 3), peer("gone", 4, status="Connecting", connectionType="-")])
    for text, found in (("OFF", ["office"]), ("92.0.3", ["phone"]), ("relayed", ["phone"]), ("not conn", ["gone"]), ("zzz", [])):
        listed.search.setText(text)
        assert names(listed) == found


def test_addresses_sort_as_numbers_and_what_is_unknown_comes_last() -> None:
    listed = PeerList()
    show(listed, [peer("b", 100), peer("a", 9), peer("c", 20, status="Connecting", latency=0)])
    listed.table.sortByColumn(1, Qt.SortOrder.AscendingOrder)
    assert names(listed) == ["a", "c", "b"]
    listed.table.sortByColumn(4, Qt.SortOrder.AscendingOrder)
    assert names(listed)[-1] == "c"


def test_an_update_changes_rows_in_place_and_keeps_the_selection() -> None:
    listed, chosen = PeerList(), list[str]()
    listed.chosen.connect(chosen.append)
    show(listed, crowd(10))
    listed.table.selectRow(3)
    key = chosen[-1]
    show(listed, [*crowd(10, latency=9)[:2], *crowd(10, latency=9)[3:], peer("newcomer", 77)])
    rows = listed.table.selectionModel().selectedRows()
    assert [index.data() for index in rows] == [f"machine-{key.removeprefix('key')}"]
    assert "newcomer" in names(listed)
    assert "machine-2" not in names(listed)


def test_two_thousand_peers_are_never_drawn_anew_as_a_whole() -> None:
    model = PeerModel()
    show(model, crowd(2000))
    resets, changes, inserted = [], [], []
    model.modelReset.connect(lambda: resets.append(1))
    model.dataChanged.connect(lambda *_: changes.append(1))
    model.rowsInserted.connect(lambda *_: inserted.append(1))
    show(model, crowd(2000, latency=6))
    show(model, [*crowd(2000, latency=6), peer("one more", 1)])
    show(model, [*crowd(2000, latency=6), peer("one more", 1)])
    assert (resets, len(changes), len(inserted)) == ([], 1, 1)


def test_any_series_of_lists_ends_in_the_last_one() -> None:
    dice, model, everybody = random.Random(7), PeerModel(), crowd(40)
    for _ in range(200):
        some = dice.sample(everybody, dice.randrange(len(everybody)))
        show(model, some)
        assert {row.key for row in model.rows} == {one["publicKey"] for one in some}


def test_an_empty_list_says_why() -> None:
    window = window_of(answering(status_document(state="Idle")))
    assert "Connect to see the other machines." in texts(window)
    window = window_of(answering(status_document()))
    assert "No other machine is in this network yet." in texts(window)
    window = window_of(answering(status_document(state="Connecting")))
    assert "once this one is connected" in texts(window)
    assert "Choose a machine" not in texts(window)


def test_the_window_is_called_after_the_state() -> None:
    assert window_of(answering(status_document(state="Idle"))).windowTitle() == "Covey: Disconnected"


# ---- the window


@pytest.mark.parametrize(
    ("name", "text", "does"),
    [
        ("connected", "Disconnect", Do.DISCONNECT),
        ("idle", "Connect", Do.CONNECT),
        ("needs-sign-in", "Sign in", Do.SIGN_IN),
        ("connecting", "Cancel", Do.CANCEL),
    ],
)
def test_the_button_does_what_it_says(name: str, text: str, does: Do) -> None:
    window, asked = window_of(states()[name]), list[Action]()
    window.asked.connect(asked.append)
    button = next(one for one in window.findChildren(QAbstractButton) if one.text().replace("&", "") == text)
    button.click()
    assert asked == [Action(does)]


def test_a_peer_is_told_in_full_with_why_and_can_be_copied() -> None:
    window = window_of(answering(status_document(relayed("phone", 3))))
    window.peers.table.selectRow(0)
    shown = texts(window)
    for words in ("Connected, relayed", "Relayed because", "Relayed by 203.0.113.9:50001", "Handshake"):
        assert words in shown
    copy = next(one for one in window.findChildren(QAbstractButton) if one.accessibleName() == "Copy the machine's address")
    copy.click()
    assert QGuiApplication.clipboard().text() == "100.92.0.3"


def test_warnings_stand_above_the_peers_and_next_steps_beside_a_peer() -> None:
    window = window_of(states()["warned"])
    window.peers.table.selectRow(2)
    shown = texts(window)
    for words in (
        "with a warning",
        "The signal server can't be reached.",
        "Ask who runs it to let UDP out.",
        "Forward UDP port 51821",
    ):
        assert words in shown
    window.show_state(states()["connected"], NOW)
    assert "can't be reached" not in texts(window)


def test_without_a_helper_the_fix_stands_there_and_nothing_else() -> None:
    for name in ("missing", "silent"):
        window = window_of(states()[name])
        fields = [line.text() for line in window.findChildren(QLineEdit) if line.isVisibleTo(window)]
        assert any("systemctl" in text for text in fields)


def test_a_helper_of_another_version_is_named() -> None:
    assert "0.0.9" in texts(window_of(states()["outdated"]))
    unreadable = AppState(Helper.ANSWERING, None, 1.0, fault=Failure("internal", "It speaks otherwise.", "Update Covey."))
    trouble = trouble_of(unreadable)
    assert trouble is not None
    assert "version" in trouble.title


def test_a_sign_in_shows_address_code_and_time_and_can_be_given_up() -> None:
    window, asked = window_of(replace(states()["sign-in-device"], prompt=Asked())), list[Action]()
    window.asked.connect(asked.append)
    fields = [line.text() for line in window.findChildren(QLineEdit) if line.isVisibleTo(window)]
    assert fields == ["https://203.0.113.10/oauth2/device", "BDFG-HKLM"]
    next(one for one in window.findChildren(QAbstractButton) if one.text() == "Cancel" and one.isVisibleTo(window)).click()
    assert asked == [Action(Do.CANCEL)]


def test_a_sign_in_says_what_else_to_know() -> None:
    fingerprint = ":".join(["AB"] * 32)
    window = window_of(replace(states()["sign-in-device"], prompt=Asked(note=f"Its fingerprint is {fingerprint}.")))
    (note,) = (label for label in window.findChildren(QLabel) if label.accessibleName() == "What else to know")
    assert note.text().replace("\u200b", "") == f"Its fingerprint is {fingerprint}."
    assert note.heightForWidth(200) >= 3 * note.heightForWidth(2000), "it goes on in the next line"
    by_hand = Asked(kind="browser", note="No browser could be opened here: open this address in one on this machine.")
    said = texts(window_of(replace(states()["sign-in-device"], prompt=by_hand)))
    assert by_hand.note in said
    assert "Your browser shows" not in said


# ---- joining


def test_a_link_is_explained_and_waits_for_the_person() -> None:
    window, asked = window_of(states()["first-run"]), list[UpRequest]()
    window.join_asked.connect(asked.append)
    window.open_first_run(LINK)
    assert "203.0.113.10" in texts(window)
    assert "A key in the link lets this machine in" in texts(window)
    assert asked == []
    QTest.keyClick(window.first_run.field, Qt.Key.Key_Return)
    assert asked == [UpRequest(join_link=LINK)]


def test_an_address_needs_no_scheme() -> None:
    assert request_of(" vpn.example.org ")[0] == UpRequest(management_url="https://vpn.example.org:443")
    assert request_of("http://192.0.2.1:8080")[0] == UpRequest(management_url="http://192.0.2.1:8080")


@pytest.mark.parametrize(
    "text", ["covey://", "covey://h/elsewhere", "covey://h/join/pin.x", "ftp://h", "https://", "a b", HOSTILE]
)
def test_what_is_no_address_is_refused_with_a_sentence(text: str) -> None:
    window, asked = window_of(states()["first-run"]), list[UpRequest]()
    window.join_asked.connect(asked.append)
    window.open_first_run(text)
    QTest.keyClick(window.first_run.field, Qt.Key.Key_Return)
    assert asked == []


# ---- accounts and reports


def test_accounts_keep_any_name() -> None:
    dialog, used, added = AccountsDialog(), list[str](), list[str]()
    dialog.used.connect(used.append)
    dialog.added.connect(added.append)
    listed = [{"name": name, "server": "", "email": ""} for name in ("default", HOSTILE)]
    dialog.show_profiles({"active": "default", "profiles": listed})  # type: ignore[typeddict-item]
    dialog._list.setCurrentRow(0)
    assert not dialog._use.isEnabled()
    dialog._list.setCurrentRow(1)
    dialog._use.click()
    dialog._name.setText("  Work & <b>home</b> ")
    dialog._add.click()
    assert (used, added) == ([HOSTILE], ["Work & <b>home</b>"])


def test_the_report_holds_reasons_and_no_keys() -> None:
    one = relayed("phone", 3)
    text = report(answering(status_document(one)), NOW)
    assert one["reason"] in text
    assert one["publicKey"] not in text
    dialog = TroubleshootDialog()
    dialog.show_state(states()["missing"], NOW)
    assert "No helper listens" in dialog._text.toPlainText()


# ---- for everyone


def every_screen() -> list[QWidget]:
    found: list[QWidget] = [window_of(state) for state in states().values()]
    return found + [make() for make in dialogs(states()["connected"]).values()]


def test_every_control_has_a_name_for_a_screen_reader() -> None:
    for screen in every_screen():
        for control in screen.findChildren(QWidget):
            is_control = isinstance(control, QAbstractButton | QLineEdit | QComboBox)
            if is_control and not control.objectName().startswith("qt_") and not isinstance(control.parent(), QLineEdit):
                text = control.text() if isinstance(control, QAbstractButton) else ""
                assert control.accessibleName() or text, f"{control} of {screen} has no name"


def test_the_keyboard_reaches_every_control_of_the_window() -> None:
    window = window_of(states()["connected"])
    window.show()
    window.activateWindow()
    window.peers.search.setFocus()
    reached: set[QWidget] = set()
    for _ in range(60):
        widget = window.focusWidget()
        assert widget is not None
        reached.add(widget)
        QTest.keyClick(widget, Qt.Key.Key_Tab)
    wanted = {one for one in window.findChildren(QAbstractButton) if one.isVisible() and one.isEnabled() and one.text()}
    assert wanted | {window.peers.search, window.peers.table} <= reached
    window.close()


def test_text_from_elsewhere_is_never_markup() -> None:
    for screen in every_screen():
        for label in screen.findChildren(QLabel):
            rich = label.textFormat() in (Qt.TextFormat.RichText, Qt.TextFormat.MarkdownText)
            assert not rich
            if label.textFormat() is Qt.TextFormat.AutoText:
                assert "<" not in label.text()
            assert "\u202e" not in label.text()
            assert "<" not in label.toolTip()


def test_the_window_stays_as_small_as_it_may_be_whatever_peers_are_called() -> None:
    window = window_of(states()["hostile"])
    window.resize(window.minimumSize())
    window.show()
    assert window.width() <= 620
    window.close()


def test_no_screen_waits() -> None:
    """No `exec`, no network, no helper: the windows only show and tell."""
    import pkgutil

    for module in pkgutil.iter_modules(screens.__path__):
        source = inspect.getsource(__import__(f"app.screens.{module.name}", fromlist=["x"]))
        imported = {alias.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import) for alias in node.names}
        imported |= {node.module or "" for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)}
        assert not imported & {"asyncio", "socket", "aiohttp", "app.helper_client", "app.model", "subprocess"}
        assert ".exec(" not in source.replace("`exec()`", "")


# ---- the chart


def test_a_history_forgets_what_is_older_than_it_shows() -> None:
    history = History()
    for second in range(1000):
        history.add(Sample(float(second), 12.0 if second % 100 else None, 0.0))
    assert history.samples[0].at >= 999 - SPAN
    assert history.top == 20
    assert len(history.runs()) == 2
    assert "12 ms to 12 ms" in history.summary()


def test_a_chart_draws_what_little_there_is() -> None:
    for state in states().values():
        window = window_of(state)
        window.peers.table.selectRow(0)
        assert not window.grab().isNull()
