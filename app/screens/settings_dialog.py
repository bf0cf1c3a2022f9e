"""Settings: this person's own and this machine's, checked before they are given out."""

from dataclasses import dataclass, field

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QIntValidator
from PySide6.QtWidgets import QCheckBox, QDialogButtonBox, QFormLayout, QGroupBox, QLineEdit, QPushButton, QVBoxLayout, QWidget

from app.screens.dialogs import Dialog
from app.screens.parts import ElidedText, Text
from app.tray.names import one_line
from app.tray.notices import Kind
from protocol.http_proxy import HttpProxy
from protocol.local_api import Preferences

NOTICES = {
    Kind.CONNECTED: "when this machine is connected for the first &time",
    Kind.SESSION_ENDS: "a day and ten minutes before the session &ends",
    Kind.SIGN_IN_NEEDED: "when &you have to sign in",
    Kind.LOST: "when the connection is &lost for more than 30 seconds",
    Kind.BACK: "when it is &back again",
}
PORTS, SIZES = range(1024, 65536), range(1280, 9001)
NO_PROXY = "The proxy is named as http://HOST:PORT; where it wants a sign-in, http://USER@HOST:PORT."


@dataclass(frozen=True, slots=True)
class Values:
    """Attributes:
    silenced: values of the `Kind`s that are switched off.
    preferences: this machine's; None while the helper has not told them.
    proxy_password: a new one; empty: it stays as it is.
    """

    starts_at_login: bool
    connects_on_start: bool
    silenced: frozenset[str]
    preferences: Preferences | None
    proxy_password: str = field(default="", repr=False)


def read_number(text: str, allowed: range, what: str) -> int:
    """A number, 0 for an empty text. Raises ValueError with a sentence. Pure."""
    if not text.strip():
        return 0
    if not text.strip().isascii() or not text.strip().isdigit() or int(text) not in allowed:
        raise ValueError(f"The {what} is a number from {allowed[0]} to {allowed[-1]}; leave it empty for Covey's own choice.")
    return int(text)


def read_proxy(text: str, password: str) -> tuple[str, str]:
    """The address without a password, and the password, which people write into the address, too. Raises ValueError. Pure."""
    try:
        proxy = HttpProxy.parse(text) if text.strip() else None
    except ValueError:
        raise ValueError(NO_PROXY) from None
    password = password or (proxy.password if proxy else "")
    if not password.isprintable():
        raise ValueError("The proxy's password is one line of text.")
    if password and (proxy is None or not proxy.user):
        raise ValueError("A password for the proxy needs a user name: http://USER@HOST:PORT.")
    return proxy.url if proxy else "", password


class SettingsDialog(Dialog):
    """Signals:
    saved: the person wants these Values.
    server_asked: the person wants another server.
    """

    saved = Signal(object)
    server_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        standard = QDialogButtonBox.StandardButton
        super().__init__("Covey: settings", parent, buttons=standard.Save | standard.Cancel)
        self._starts, self._connects = QCheckBox("&Start Covey when I log in"), QCheckBox("&Connect when Covey starts")
        self._notices = {kind: QCheckBox(f"Notify me {text}") for kind, text in NOTICES.items()}
        self._server, change = ElidedText(name="Server"), QPushButton("Change server…")
        change.clicked.connect(self.server_asked)
        self._port, self._mtu = _number("WireGuard port", PORTS), _number("MTU", SIZES)
        self._proxy, self._password = QLineEdit(), QLineEdit()
        self._proxy.setAccessibleName("HTTP proxy, empty for what this machine's service names")
        self._proxy.setPlaceholderText("http://HOST:PORT, where nothing else leads out")
        self._password.setAccessibleName("New password for the proxy")
        self._password.setPlaceholderText("only to set or change it")
        self._password.setEchoMode(QLineEdit.EchoMode.Password)
        self._routes = QCheckBox("Take no &routes from the network")
        self._dns = QCheckBox("Take no &DNS settings from the network")
        self._mapping = QCheckBox("Ask no rou&ter to let others in")
        self._failure = Text(name="What is wrong")
        self._failure.hide()
        mine, machine = QGroupBox("For me"), QGroupBox("For this machine")
        column = QVBoxLayout(mine)
        for box in (self._starts, self._connects, *self._notices.values()):
            column.addWidget(box)
        self._form = QFormLayout(machine)
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._form.addRow("Server:", self._server)
        self._form.addRow("", change)
        self._form.addRow("WireGuard &port:", self._port)
        self._form.addRow("&MTU:", self._mtu)
        self._form.addRow("HTTP pro&xy:", self._proxy)
        self._form.addRow("Its pass&word:", self._password)
        self._form.addRow(self._routes)
        self._form.addRow(self._dns)
        self._form.addRow(self._mapping)
        self._form.addRow(Text("In force from the next time you connect.", dim=True))
        self._machine = machine
        for widget in (mine, machine, self._failure):
            self.body.addWidget(widget)
        self.buttons.accepted.connect(self._on_save)
        self._preferences: Preferences | None = None

    def show_values(self, values: Values, server: str) -> None:
        self._failure.hide()
        self._starts.setChecked(values.starts_at_login)
        self._connects.setChecked(values.connects_on_start)
        for kind, box in self._notices.items():
            box.setChecked(kind.value not in values.silenced)
        self._server.show_text(one_line(server, 200) or "none yet")
        self.show_preferences(values.preferences)

    def show_preferences(self, preferences: Preferences | None) -> None:
        """What the helper told; without it this machine's part can't be changed."""
        self._preferences = preferences
        self._machine.setEnabled(preferences is not None)
        self._password.clear()
        if preferences is not None:
            self._port.setText(str(preferences["wireguard_port"] or ""))
            self._mtu.setText(str(preferences["mtu"] or ""))
            self._proxy.setText(preferences["proxy"])
            self._routes.setChecked(preferences["disable_routes"])
            self._dns.setChecked(preferences["disable_dns"])
            self._mapping.setChecked(preferences["disable_port_mapping"])

    def show_failure(self, text: str) -> None:
        self._failure.setText(one_line(text, 300))
        self._failure.setVisible(bool(text))

    def _on_save(self) -> None:
        try:
            preferences: Preferences | None = None
            password = ""
            if self._preferences is not None:
                proxy, password = read_proxy(self._proxy.text(), self._password.text())
                preferences = {
                    **self._preferences,
                    "wireguard_port": read_number(self._port.text(), PORTS, "port"),
                    "mtu": read_number(self._mtu.text(), SIZES, "MTU"),
                    "proxy": proxy,
                    "disable_routes": self._routes.isChecked(),
                    "disable_dns": self._dns.isChecked(),
                    "disable_port_mapping": self._mapping.isChecked(),
                }
        except ValueError as error:
            self.show_failure(str(error))
            return
        silenced = frozenset(kind.value for kind, box in self._notices.items() if not box.isChecked())
        self.saved.emit(Values(self._starts.isChecked(), self._connects.isChecked(), silenced, preferences, password))


def _number(name: str, allowed: range) -> QLineEdit:
    field = QLineEdit()
    field.setAccessibleName(f"{name}, {allowed[0]} to {allowed[-1]}, empty for Covey's own choice")
    field.setPlaceholderText("chosen by Covey")
    field.setValidator(QIntValidator(0, allowed[-1], field))
    field.setInputMethodHints(Qt.InputMethodHint.ImhDigitsOnly)
    return field
