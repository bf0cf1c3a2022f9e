"""The whole program but its process: model, icon, windows and notifications against the real local API."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication, QMenu, QSystemTrayIcon

from app import watch
from app.helper_client import HelperClient
from app.login.prompt import OnPrompt, Prompt
from app.model import AppModel
from app.screens.main_window import MainWindow
from app.screens.settings_dialog import SettingsDialog
from app.settings import AppSettings, Kept, load, save
from app.state import Helper
from app.tray import places
from app.tray.instance import Call
from app.tray.person import PersonHere
from app.tray.program import Program
from app.tray.view import Action, Do
from helper.local_api.listener import serve
from protocol.errors import ServerUnreachable
from protocol.local_api import StatusDocument, UpRequest
from tests.gui.conftest import in_qt, until
from tests.unit.helper.local_api.scripted import ScriptedController, link, peer, status_document

LINK = "covey://203.0.113.10:443/join/key.1d8e7c6b-0000-4000-8000-000000000001"


class Tray:
    """Whether the desktop has a tray."""

    is_there = True


class Scene:
    def __init__(self, app: QApplication, folder: Path) -> None:
        self.controller = ScriptedController(peer(), state="Idle")
        self.controller.document["management"] = link(error="not connected")
        self.socket, self.config = folder / "helper.sock", folder / "config"
        client = HelperClient(self.socket)
        self.person = PersonHere(client)
        self.model = AppModel(client, self.person)
        self.program = Program(app, self.model, self.person, Kept(self.config))
        self.said: list[str] = []
        self.program._say = lambda title, text: self.said.append(title)  # type: ignore[method-assign]

    @property
    def menu(self) -> QMenu:
        return self.program._tray.menu

    @property
    def window(self) -> MainWindow | None:
        """The main window, while it is on the screen."""
        window = self.program._windows._main
        return window if window is not None and window.isVisible() else None

    @property
    def settings(self) -> SettingsDialog:
        dialog = self.program._windows._settings
        assert dialog is not None
        return dialog

    def click(self, text: str) -> None:
        next(action for action in self.menu.actions() if action.text().replace("&", "") == text).trigger()

    async def until_state(self, word: str) -> None:
        await until(lambda: self.model.state.status and self.model.state.status["daemonStatus"] == word, self.model.changed)


@asynccontextmanager
async def started(folder: Path, call: Call | None = None, *, is_hidden: bool = False) -> AsyncIterator[Scene]:
    """The program, once it has heard from its helper."""
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    there = Scene(app, folder)
    async with serve(there.controller, there.socket):
        there.program.start(call or Call(shows_window=False), is_hidden=is_hidden)
        await until(lambda: there.model.state.helper is Helper.ANSWERING, there.model.changed)
        await until(lambda: there.controller.watchers)
        yield there
        await there.program.close()
        await there.model.close()
        await there.person.close()


@pytest.fixture
def tray(monkeypatch: pytest.MonkeyPatch) -> Tray:
    desktop = Tray()
    monkeypatch.setattr(QSystemTrayIcon, "isSystemTrayAvailable", lambda: desktop.is_there)
    monkeypatch.setattr(places, "LOOK_EVERY", 10)
    return desktop


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(watch, "ASK_EVERY", 0.02)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "desktop"))
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)


def test_the_menu_connects_and_disconnects(folder: Path, tray: Tray) -> None:
    async def test() -> None:
        async with started(folder) as there:
            assert there.menu.actions()[0].text() == "Disconnected"
            there.click("Connect")
            await there.until_state("Connected")
            await until(lambda: there.menu.actions()[0].text() == "Connected, 1 of 1 peers")
            assert there.said == ["Covey is connected"]
            there.click("Disconnect")
            await there.until_state("Idle")
            assert there.controller.calls == [UpRequest(), "down"]
            assert there.window is None

    in_qt(test)


def test_what_fails_from_the_menu_is_said(folder: Path, tray: Tray) -> None:
    async def test() -> None:
        async with started(folder) as there:
            there.controller.failure = ServerUnreachable("The server does not answer.")
            there.click("Connect")
            await until(lambda: there.said == ["The server does not answer."], there.model.ended)

    in_qt(test)


def test_a_code_to_type_elsewhere_opens_the_window(folder: Path, tray: Tray) -> None:
    async def test() -> None:
        async with started(folder) as there:
            prompt = Prompt("device", "https://vpn.example.org/device", "ABCD-EFGH", 300, "https://vpn.example.org/device?c=ABCD")

            async def token(*_: object, on_prompt: OnPrompt, **__: object) -> str:
                on_prompt(prompt)
                await asyncio.Event().wait()
                return ""

            there.person.token = lambda flow, profile, on_prompt, *, anew: token(on_prompt=on_prompt)  # type: ignore[method-assign]
            there.program.on_asked(Action(Do.SIGN_IN))
            await until(lambda: there.window, there.model.changed)
            assert there.model.state.prompt == prompt
            there.program.on_asked(Action(Do.CANCEL))

    in_qt(test)


def test_connect_on_a_machine_that_knows_no_server_asks_for_one(folder: Path, tray: Tray) -> None:
    async def test() -> None:
        async with started(folder) as there:
            there.controller.show({**status_document(state="Idle"), "management": link("", "no server")})
            await until(lambda: not there.model.state.is_set_up, there.model.changed)
            there.click("Connect")
            assert there.window is not None
            assert there.window.first_run.isVisible()
            assert there.controller.calls == []

    in_qt(test)


def test_a_link_is_shown_and_waits_for_the_person(folder: Path, tray: Tray) -> None:
    async def test() -> None:
        async with started(folder, Call(LINK)) as there:
            window = there.window
            assert window is not None
            assert window.first_run.field.text() == LINK
            for _ in range(20):
                await asyncio.sleep(0)
            assert there.controller.calls == []
            window.first_run.asked.emit(UpRequest(join_link=LINK))
            await there.until_state("Connected")
            assert there.controller.calls == [UpRequest(join_link=LINK)]

    in_qt(test)


@pytest.mark.parametrize(
    "text", ["covey://", "javascript:alert(1)", "<b>x</b>", "covey://h/join/pin.x", "x" * 20000, "\x00\u202e"]
)
def test_a_link_that_is_none_can_only_be_looked_at(folder: Path, tray: Tray, text: str) -> None:
    async def test() -> None:
        async with started(folder) as there:
            there.program.on_called(Call(text))
            window = there.window
            assert window is not None
            window.first_run.field.returnPressed.emit()
            for _ in range(20):
                await asyncio.sleep(0)
            assert all(call != UpRequest(join_link=text) for call in there.controller.calls)

    in_qt(test)


def test_without_a_tray_there_is_a_window_and_closing_it_ends_the_program(folder: Path, tray: Tray) -> None:
    async def test() -> None:
        tray.is_there = False
        async with started(folder) as there:
            await until(lambda: there.window)
            assert there.said == ["Covey is here as a window"]
            assert load(there.config).told_about_tray
            assert there.window is not None
            there.window.close()
            await there.program.quitting.wait()

    in_qt(test)


def test_a_tray_that_appears_gets_the_icon_and_one_that_goes_loses_it(folder: Path, tray: Tray) -> None:
    async def test() -> None:
        tray.is_there = False
        async with started(folder, is_hidden=True) as there:
            assert not there.program._tray.is_shown
            for is_there in (True, False, True):
                tray.is_there = is_there
                await until(lambda: there.program._tray.is_shown == tray.is_there)
            assert there.window is None

    in_qt(test)


def test_with_a_tray_closing_the_window_ends_nothing(folder: Path, tray: Tray) -> None:
    async def test() -> None:
        async with started(folder, Call()) as there:
            window = there.window
            assert window is not None
            window.close()
            assert not there.program.quitting.is_set()
            there.program.on_called(Call())
            assert there.window is window
            there.click("Quit")
            assert there.program.quitting.is_set()

    in_qt(test)


def test_counters_are_asked_for_only_while_the_window_or_the_menu_is_open(folder: Path, tray: Tray) -> None:
    async def test() -> None:
        async with started(folder) as there:
            assert there.model._watchers == 0
            there.program.on_asked(Action(Do.OPEN))
            there.program.on_asked(Action(Do.OPEN))
            assert there.model._watchers == 1
            assert there.window is not None
            there.window.close()
            assert there.model._watchers == 0
            there.menu.aboutToShow.emit()
            assert there.model._watchers == 1
            there.menu.aboutToHide.emit()
            assert there.model._watchers == 0

    in_qt(test)


def test_it_connects_on_start_where_that_is_wanted_and_never_again(folder: Path, tray: Tray) -> None:
    async def test() -> None:
        save(folder / "config", AppSettings(connect_on_start=True))
        async with started(folder) as there:
            await there.until_state("Connected")
            await until(lambda: there.model.state.doing is None, there.model.changed)
            there.click("Disconnect")
            await there.until_state("Idle")
            await until(lambda: there.model.state.doing is None, there.model.changed)
            for _ in range(20):
                await asyncio.sleep(0)
            assert there.controller.calls == [UpRequest(), "down"]

    in_qt(test)


def test_it_uses_the_account_that_it_was_started_with(folder: Path, tray: Tray) -> None:
    async def test() -> None:
        async with started(folder) as there:
            there.controller.accounts.append({"name": "work", "server": "", "email": ""})
            there.program.on_called(Call(profile="work", shows_window=False))
            await until(lambda: there.controller.calls == [("use", "work")])
            await until(lambda: there.model.state.doing is None, there.model.changed)

    in_qt(test)


def test_settings_are_shown_changed_and_kept(folder: Path, tray: Tray) -> None:
    async def test() -> None:
        async with started(folder) as there:
            there.program.on_asked(Action(Do.SETTINGS))
            await until(lambda: there.model.state.preferences is not None, there.model.changed)
            dialog = there.settings
            dialog._starts.setChecked(True)
            dialog._connects.setChecked(True)
            dialog._mtu.setText("1380")
            dialog._proxy.setText("ada@proxy.example:3128")
            dialog._password.setText("hush-hush")
            dialog._on_save()
            await until(lambda: not dialog.isVisible(), there.model.saved)
            assert load(there.config).connect_on_start
            assert (folder / "desktop" / "autostart" / "covey.desktop").exists()
            assert there.controller.preferred["mtu"] == 1380
            assert there.controller.preferred["proxy"] == "http://ada@proxy.example:3128"
            assert {call[1]["proxy_password"] for call in there.controller.calls if call[0] == "prefer"} == {"hush-hush"}

    in_qt(test)


def test_settings_that_cannot_be_written_are_said(folder: Path, tray: Tray) -> None:
    async def test() -> None:
        (folder / "config").touch()
        async with started(folder) as there:
            there.program.on_asked(Action(Do.SETTINGS))
            dialog = there.settings
            dialog._on_save()
            assert dialog.isVisible()
            assert dialog._failure.text().startswith("Your settings can't be written")

    in_qt(test)


def test_what_is_switched_off_is_not_said(folder: Path, tray: Tray) -> None:
    async def test() -> None:
        save(folder / "config", AppSettings(silenced=frozenset({"connected"})))
        async with started(folder) as there:
            there.click("Connect")
            await there.until_state("Connected")
            assert there.said == []

    in_qt(test)


def test_two_thousand_peers_and_a_stream_of_changes_are_drawn(folder: Path, tray: Tray) -> None:
    async def test() -> None:
        async with started(folder, Call()) as there:
            for latency in (1_000_000, 2_000_000):
                many = [
                    peer(f"p{number}", ip=f"100.92.{number // 250}.{number % 250}", latency=latency) for number in range(2000)
                ]
                document = status_document(*many)
                there.controller.show(document)
                await until(partial(has_status, there, document), there.model.changed)
            assert "2000 of 2000 peers" in there.menu.actions()[0].text()

    in_qt(test)


def has_status(there: Scene, document: StatusDocument) -> bool:
    return there.model.state.status == document
