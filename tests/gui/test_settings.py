"""The settings window: what is checked before it is given out, and a password that nobody is shown."""

import pytest

from app.local_call import Call
from app.screens.settings_dialog import PORTS, SettingsDialog, Values, read_number, read_proxy
from helper.preferences import DEFAULTS
from protocol.local_api import Preferences
from tests.gui.gallery import texts

PREFERENCES: Preferences = DEFAULTS
# Passwords that were not written as they must be in an address: no part of one may be taken for a port and shown.
MORE = (
    "http://ada:12/x@proxy:80",
    "http://ada:#hush@proxy:80",
    "http://ada:?x@proxy:80",
    "http://proxy:3128/path",
    "pro xy:80",
    "proxy:0",
)

pytestmark = pytest.mark.usefixtures("app")


def test_settings_are_checked_before_they_are_saved() -> None:
    dialog, saved = SettingsDialog(), list[Values]()
    dialog.saved.connect(saved.append)
    dialog.show_values(Values(False, False, frozenset({"lost"}), PREFERENCES), "https://203.0.113.10")
    port, mtu = dialog._port, dialog._mtu
    port.setText("80")
    dialog._on_save()
    assert saved == []
    assert "1024" in texts(dialog)
    port.setText("51820")
    mtu.setText("1400")
    dialog._on_save()
    assert saved[0].silenced == {"lost"}
    assert saved[0].preferences == {**PREFERENCES, "wireguard_port": 51820, "mtu": 1400}
    assert saved[0].proxy_password == ""


def test_a_proxy_is_set_with_its_password_which_is_never_shown_again() -> None:
    dialog, saved = SettingsDialog(), list[Values]()
    dialog.saved.connect(saved.append)
    dialog.show_values(Values(False, False, frozenset(), PREFERENCES), "https://203.0.113.10")
    dialog._password.setText("hush-hush")
    dialog._on_save()
    assert saved == []
    assert "needs a user name" in texts(dialog)
    dialog._proxy.setText("http://ada@proxy.example:3128")
    dialog._on_save()
    assert saved[0].preferences == {**PREFERENCES, "proxy": "http://ada@proxy.example:3128"}
    assert saved[0].proxy_password == "hush-hush"
    assert "hush" not in repr(saved[0])
    assert "hush" not in texts(dialog)
    dialog.show_preferences(saved[0].preferences)
    assert dialog._password.text() == ""


@pytest.mark.parametrize(
    ("text", "password", "found"),
    [
        ("", "", ("", "")),
        (" proxy.example:3128 ", "", ("http://proxy.example:3128", "")),
        ("http://ada:pass%2Bword@[2001:db8::1]:80", "", ("http://ada@[2001:db8::1]:80", "pass+word")),
        ("http://ada:one@proxy.example:80", "two", ("http://ada@proxy.example:80", "two")),
    ],
)
def test_a_proxy_and_its_password_are_told_apart(text: str, password: str, found: tuple[str, str]) -> None:
    assert read_proxy(text, password) == found


@pytest.mark.parametrize("text", ["socks5://proxy.example:1080", "http://", "http://proxy.example:x", "http://[proxy", *MORE])
def test_no_proxy(text: str) -> None:
    with pytest.raises(ValueError, match="http://HOST:PORT"):
        read_proxy(text, "")


@pytest.mark.parametrize("text", ["80", "65536", "-1", "1e4", "\u0661\u0662\u0663\u0664", "x"])
def test_no_port(text: str) -> None:
    with pytest.raises(ValueError, match="1024"):
        read_number(text, PORTS, "port")


def test_a_password_that_was_not_saved_is_gone_and_keeps_nobody_from_saving_the_rest() -> None:
    dialog, saved = SettingsDialog(), list[Values]()
    dialog.saved.connect(saved.append)
    dialog.show_values(Values(False, False, frozenset(), PREFERENCES), "")
    dialog._password.setText("hush-hush")
    dialog.show_values(Values(False, False, frozenset(), None), "")
    dialog._on_save()
    assert (saved[0].preferences, saved[0].proxy_password) == (None, "")


def test_what_is_asked_of_the_helper_is_told_without_what_it_holds() -> None:
    assert "hush" not in repr(Call("POST", "/v1/preferences", body={"proxy_password": "hush"}))
