"""The windows, made when they are first wanted, and how they hang on the model."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from app.autostart import Autostart
from app.model import AppModel
from app.settings import Kept
from app.state import Failure
from app.troubleshooter import Troubleshooter

if TYPE_CHECKING:
    from app.screens.about import AboutDialog
    from app.screens.accounts import AccountsDialog
    from app.screens.main_window import MainWindow
    from app.screens.settings_dialog import SettingsDialog, Values
    from app.screens.troubleshoot import TroubleshootDialog


class Windows(QObject):
    """Signals:
    asked: a person wants that; the argument is the Action.
    open_asked: a person wants the browser at this address.
    closed: the main window was closed.
    """

    asked = Signal(object)
    open_asked = Signal(str)
    closed = Signal()

    def __init__(self, model: AppModel, kept: Kept, autostart: Autostart | None) -> None:
        super().__init__()
        self._model, self._kept, self._autostart = model, kept, autostart
        self._main: MainWindow | None = None
        self._settings: SettingsDialog | None = None
        self._accounts: AccountsDialog | None = None
        self._troubleshoot: TroubleshootDialog | None = None
        self._about: AboutDialog | None = None
        self._troubleshooter = Troubleshooter(model.client)
        self._is_saving = False
        self._account_failure: Failure | None = None
        model.changed.connect(lambda _: self.redraw())
        model.saved.connect(self._on_saved)

    # ---- what is opened

    def open(self) -> None:
        window = self._made()
        window.show_state(self._model.state, datetime.now(UTC))
        window.bring_up()

    def open_first_run(self, link: str = "") -> None:
        """The screen to join a network, with this join link in it."""
        self.open()
        self._made().open_first_run(link)

    def open_settings(self) -> None:
        if self._settings is None:
            from app.screens.settings_dialog import SettingsDialog

            self._settings = SettingsDialog()
            self._settings.saved.connect(self._on_settings)
            self._settings.server_asked.connect(self._on_server_asked)
        if not self._settings.isVisible():
            self._settings.show_values(self._values(), self._server())
            self._model.read_preferences()
        self._settings.bring_up()

    def open_accounts(self) -> None:
        if self._accounts is None:
            from app.screens.accounts import AccountsDialog

            self._accounts = AccountsDialog()
            self._accounts.added.connect(self._model.add_profile)
            self._accounts.used.connect(self._model.use_profile)
            self._accounts.removed.connect(self._model.remove_profile)
        self._account_failure = None
        self._accounts.show_profiles(self._model.state.profiles)
        self._model.read_profiles()
        self._accounts.bring_up()

    def open_troubleshoot(self) -> None:
        if self._troubleshoot is None:
            from app.screens.troubleshoot import TroubleshootDialog

            self._troubleshoot = dialog = TroubleshootDialog()
            helping = self._troubleshooter
            dialog.checks_asked.connect(helping.check)
            dialog.report_asked.connect(helping.save)
            dialog.shown.connect(lambda is_shown: helping.follow() if is_shown else helping.stop())
            helping.checked.connect(dialog.checks.show_result)
            helping.told.connect(lambda events: dialog.happened.show_events(events, datetime.now().astimezone()))
            helping.saved.connect(dialog.show_saved)
        self._troubleshoot.show_state(self._model.state, datetime.now(UTC))
        self._troubleshoot.bring_up()

    def open_about(self) -> None:
        if self._about is None:
            from app.screens.about import AboutDialog

            self._about = AboutDialog()
        status = self._model.state.status
        self._about.show_helper(status["daemonVersion"] if status is not None else "")
        self._about.bring_up()

    def close(self) -> None:
        self._troubleshooter.stop()
        for window in (self._main, self._settings, self._accounts, self._troubleshoot, self._about):
            if window is not None:
                window.blockSignals(True)
                window.close()
                window.deleteLater()
        self._main = self._settings = self._accounts = self._troubleshoot = self._about = None

    @property
    def is_open(self) -> bool:
        """The main window is on the screen."""
        return self._main is not None and self._main.isVisible()

    # ---- what is shown

    def redraw(self) -> None:
        """Draw what is on the screen anew; what is not waits until it is opened."""
        state, now = self._model.state, datetime.now(UTC)
        if self._main is not None and self.is_open:
            self._main.show_state(state, now)
        if self._accounts is not None and self._accounts.isVisible():
            self._accounts.show_profiles(state.profiles, words_of(self._account_failure))
        if self._troubleshoot is not None and self._troubleshoot.isVisible():
            self._troubleshoot.show_state(state, now)

    def _made(self) -> "MainWindow":
        if self._main is None:
            from app.screens.main_window import MainWindow

            self._main = MainWindow()
            self._main.asked.connect(self.asked)
            self._main.join_asked.connect(self._model.connect_)
            self._main.open_asked.connect(self.open_asked)
            self._main.shown.connect(self._model.watch)
            self._main.closed.connect(self.closed)
        return self._main

    # ---- settings

    def _values(self) -> "Values":
        from app.screens.settings_dialog import Values

        kept, state = self._kept.now, self._model.state
        starts = self._autostart is not None and self._autostart.is_on()
        return Values(starts, kept.connect_on_start, kept.silenced, state.preferences)

    def _server(self) -> str:
        status = self._model.state.status
        return status["management"]["url"] if status is not None else ""

    def _on_settings(self, values: "Values") -> None:
        assert self._settings is not None
        try:
            if self._autostart is not None:
                self._autostart.switch(values.starts_at_login)
            self._kept.keep(replace(self._kept.now, connect_on_start=values.connects_on_start, silenced=values.silenced))
        except OSError as error:
            self._settings.show_failure(f"Your settings can't be written: {error.strerror or error}.")
            return
        unchanged = values.preferences == self._model.state.preferences and not values.proxy_password
        if values.preferences is None or unchanged:
            self._settings.accept()
            return
        self._is_saving = True
        password = {"proxy_password": values.proxy_password} if values.proxy_password else {}
        self._model.prefer({**values.preferences, **password})

    def _on_server_asked(self) -> None:
        assert self._settings is not None
        self._settings.reject()
        self.open_first_run()

    def _on_saved(self, failure: Failure | None) -> None:
        """Preferences came, or were taken, or were not."""
        self._account_failure = failure
        self.redraw()
        was_saving, self._is_saving = self._is_saving, False
        dialog = self._settings
        if dialog is None or not dialog.isVisible():
            return
        if failure is not None:
            dialog.show_failure(words_of(failure))
        elif was_saving:
            dialog.accept()
        else:
            dialog.show_preferences(self._model.state.preferences)


def words_of(failure: Failure | None) -> str:
    return f"{failure.sentence} {failure.hint}" if failure is not None else ""
