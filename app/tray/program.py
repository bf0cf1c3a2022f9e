"""The tray program: joins the model, the icon, the windows and the notifications."""

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QApplication

from app.autostart import autostart
from app.login.prompt import Prompt
from app.model import AppModel
from app.notify import notifier
from app.settings import Kept
from app.state import AppState, Doing, Failure, Helper
from app.tray.instance import Call
from app.tray.names import one_line
from app.tray.notices import Notices
from app.tray.person import PersonHere
from app.tray.places import TrayPlace
from app.tray.tray import Tray
from app.tray.view import Action, Do, tray_view
from app.tray.windows import Windows

log = logging.getLogger(__name__)

TICK = 5000  # milliseconds between two looks at the clock
TRAY_WAIT = 15000  # milliseconds after logging in that a panel has to appear


class Program(QObject):
    """Attributes:
    quitting: set when a person wants the program to end.
    """

    def __init__(self, app: QApplication, model: AppModel, person: PersonHere, kept: Kept) -> None:
        super().__init__()
        self.quitting = asyncio.Event()
        self._app, self._model, self._kept = app, model, kept
        self._tray, self._place = Tray(), TrayPlace()
        self._windows = Windows(model, kept, autostart())
        self._notices = Notices()
        self._notifier = notifier(self._windows.open)
        self._notifying: set[asyncio.Task[None]] = set()
        self._profile: str | None = None  # to use once the helper answers
        self._prompt: Prompt | None = None
        self._may_connect = kept.now.connect_on_start
        self._panel_wait = QTimer(self)
        self._panel_wait.setSingleShot(True)
        self._panel_wait.timeout.connect(self._open_without_tray)
        self._clock = QTimer(self)
        self._clock.setInterval(TICK)
        self._tray.asked.connect(self.on_asked)
        self._tray.looked_at.connect(self._on_looked_at)
        self._place.appeared.connect(self._tray.register)
        self._place.vanished.connect(self._tray.withdraw)
        self._windows.asked.connect(self.on_asked)
        self._windows.open_asked.connect(person.open_page)
        self._windows.closed.connect(self._on_window_closed)
        self._clock.timeout.connect(self._on_tick)
        model.changed.connect(self._on_changed)
        model.changed.connect(person.on_changed)
        model.ended.connect(self._on_ended)

    def start(self, call: Call, *, is_hidden: bool) -> None:
        """`is_hidden`: started with the session, when a panel may still be on its way."""
        self._redraw()
        self._place.start()
        self._clock.start()
        self._model.start()
        self.on_called(call)
        if not call.shows_window and call.link is None:
            self._panel_wait.start(TRAY_WAIT if is_hidden else 0)

    async def close(self) -> None:
        self._clock.stop()
        self._panel_wait.stop()
        self._place.stop()
        self._tray.withdraw()
        self._windows.close()
        if self._notifier is not None:
            await self._notifier.close()

    # ---- what a person wants

    def on_asked(self, action: Action) -> None:
        match action:
            case Action(Do.CONNECT):
                if self._model.state.is_set_up:
                    self._model.connect_()
                else:
                    self._windows.open_first_run()
            case Action(Do.DISCONNECT):
                self._model.disconnect_()
            case Action(Do.CANCEL):
                self._model.cancel()
            case Action(Do.SIGN_IN):
                self._model.sign_in()
            case Action(Do.COPY, text):
                self._app.clipboard().setText(text)
            case Action(Do.USE_PROFILE, name):
                self._model.use_profile(name)
            case Action(Do.OPEN):
                self._windows.open()
            case Action(Do.ACCOUNTS):
                self._windows.open_accounts()
            case Action(Do.SETTINGS):
                self._windows.open_settings()
            case Action(Do.TROUBLESHOOT):
                self._windows.open_troubleshoot()
            case Action(Do.ABOUT):
                self._windows.open_about()
            case Action(Do.QUIT):
                self.quitting.set()

    def on_called(self, call: Call) -> None:
        """This start, or a second one. A link may come from anywhere: it is shown, and only a person confirms it."""
        self._profile = call.profile or self._profile
        self._begin(self._model.state)
        if call.link is not None:
            self._windows.open_first_run(call.link)
        elif call.shows_window:
            self._windows.open()

    # ---- what happens

    def _on_changed(self, state: AppState) -> None:
        self._redraw()
        self._begin(state)
        prompt, self._prompt = self._prompt, state.prompt
        if state.prompt is not None and state.prompt != prompt and (state.prompt.kind == "device" or state.prompt.note):
            self._windows.open()  # there is something to read that no browser shows

    def _on_ended(self, _: Doing, failure: Failure | None) -> None:
        """Whoever clicked in the menu sees no window that would tell."""
        if failure is not None and not self._windows.is_open:
            self._say(one_line(failure.sentence, 80), one_line(failure.hint, 250))

    def _begin(self, state: AppState) -> None:
        """Once, when the helper answers: change to the account and connect, where that is wanted."""
        if state.helper is not Helper.ANSWERING or state.status is None or state.doing is not None:
            return
        profile, self._profile = self._profile, None
        if profile is not None and profile != state.status["profile"]:
            self._model.use_profile(profile)
            return
        may_connect, self._may_connect = self._may_connect, False
        if may_connect and state.is_set_up and state.status["daemonStatus"] == "Idle":
            self._model.connect_()

    def _on_tick(self) -> None:
        self._redraw()
        self._windows.redraw()

    def _redraw(self) -> None:
        now = datetime.now(UTC)
        self._tray.show(tray_view(self._model.state, now))
        for notice in self._notices.handle(self._model.state, now):
            if notice.kind.value not in self._kept.now.silenced:
                self._say(notice.title, notice.text)

    def _say(self, title: str, text: str) -> None:
        task = asyncio.create_task(self._notify(title, text), name="notify")
        self._notifying.add(task)
        task.add_done_callback(self._notifying.discard)

    async def _notify(self, title: str, text: str) -> None:
        if self._notifier is None or not await self._notifier.show(title, text):
            self._tray.notify(title, text)

    def _on_looked_at(self, is_open: bool) -> None:
        self._model.watch(is_open)
        if is_open:
            self._model.read_profiles()

    def _on_window_closed(self) -> None:
        """Without a tray nothing of the program is left to see, so it ends; the tunnel stays as it is."""
        self._place.look()
        if not self._place.is_there:
            self.quitting.set()

    def _open_without_tray(self) -> None:
        self._place.look()
        if self._place.is_there:
            return
        self._windows.open()
        if not self._kept.now.told_about_tray:
            self._say("Covey is here as a window", "This desktop shows no tray icons.")
            try:
                self._kept.keep(replace(self._kept.now, told_about_tray=True))
            except OSError as error:
                log.warning("the settings can't be written: %s", error)
