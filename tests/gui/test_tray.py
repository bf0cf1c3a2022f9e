import pytest
from PySide6.QtWidgets import QApplication, QMenu

from app.tray.icons import app_icon, tray_icon
from app.tray.menu import DrawnMenu
from app.tray.tray import Tray
from app.tray.view import Action, Do, Icon, Item, Separator, tray_view
from resources import FOLDER
from resources.draw import VARIANTS, drawings
from tests.unit.app.tray.values import NOW, answering
from tests.unit.helper.local_api.scripted import peer


def lines(menu: QMenu) -> list[str]:
    return [action.text() for action in menu.actions()]


@pytest.fixture
def asked() -> list[Action]:
    return []


@pytest.fixture
def drawn(app: QApplication, asked: list[Action]) -> DrawnMenu:
    return DrawnMenu(QMenu(), asked.append)


def test_a_menu_is_drawn_as_its_value_says(drawn: DrawnMenu, asked: list[Action]) -> None:
    drawn.show(
        (
            Item("Connect", Action(Do.CONNECT)),
            Separator(),
            Item("Peers", items=(Item("bob", Action(Do.COPY, "100.92.0.2")),)),
            Item("work", Action(Do.USE_PROFILE, "work"), is_checked=True),
            Item("Quit", Action(Do.QUIT), is_enabled=False),
        )
    )
    connect, separator, peers, work, end = drawn.menu.actions()
    assert separator.isSeparator()
    assert (work.isCheckable(), work.isChecked(), connect.isCheckable()) == (True, True, False)
    assert (connect.isEnabled(), end.isEnabled()) == (True, False)
    submenu = peers.menu()
    assert isinstance(submenu, QMenu)
    connect.trigger()
    submenu.actions()[0].trigger()
    assert asked == [Action(Do.CONNECT), Action(Do.COPY, "100.92.0.2")]


def test_lines_change_in_place_while_the_menu_is_open(drawn: DrawnMenu, asked: list[Action]) -> None:
    drawn.show((Item("Connect", Action(Do.CONNECT)), Item("Peers", items=(Item("bob: 12 ms"),))))
    first, peers = drawn.menu.actions()
    submenu = peers.menu()
    assert isinstance(submenu, QMenu)
    bob = submenu.actions()[0]
    drawn.show((Item("Disconnect", Action(Do.DISCONNECT)), Item("Peers", items=(Item("bob: 13 ms"),))))
    assert drawn.menu.actions() == [first, peers]
    assert (first.text(), bob.text()) == ("Disconnect", "bob: 13 ms")
    first.trigger()
    assert asked == [Action(Do.DISCONNECT)]


def test_lines_come_and_go(drawn: DrawnMenu) -> None:
    for names in (["a"], ["a", "b", "c"], ["c"], []):
        drawn.show((Item("Peers", items=tuple(Item(name) for name in names)), Item("Quit")))
        assert lines(drawn.menu) == ["Peers", "Quit"]
        submenu = drawn.menu.actions()[0].menu()
        assert (lines(submenu) if isinstance(submenu, QMenu) else []) == names


def test_a_click_on_an_account_leaves_the_mark_until_the_helper_says_so(drawn: DrawnMenu, asked: list[Action]) -> None:
    drawn.show((Item("home", Action(Do.USE_PROFILE, "home"), is_checked=False),))
    home = drawn.menu.actions()[0]
    home.trigger()
    assert asked == [Action(Do.USE_PROFILE, "home")]
    assert not home.isChecked()


def test_text_is_only_text(drawn: DrawnMenu) -> None:
    drawn.show((Item("Tom & Jerry <b>x</b>"),))
    assert lines(drawn.menu) == ["Tom && Jerry <b>x</b>"]


def test_the_tray_shows_state_and_menu_and_asks(app: QApplication) -> None:
    tray = Tray()
    asked: list[Action] = []
    tray.asked.connect(asked.append)
    tray.register()
    tray.show(tray_view(answering(peer()), NOW))
    assert lines(tray.menu)[0] == "Connected, 1 of 1 peers"
    tray.menu.actions()[-1].trigger()
    assert asked == [Action(Do.QUIT)]
    tray.register()  # another tray came
    assert tray.is_shown
    tray.withdraw()
    assert not tray.is_shown


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("icon", Icon)
def test_every_state_has_a_picture_of_its_own(app: QApplication, icon: Icon, variant: str) -> None:
    drawn = tray_icon(icon, variant).pixmap(16, 16).toImage()
    assert not drawn.isNull()
    assert drawn.hasAlphaChannel()
    opaque = sum(drawn.pixelColor(x, y).alpha() > 100 for x in range(drawn.width()) for y in range(drawn.height()))
    assert opaque > drawn.width() * drawn.height() / 10
    for other in Icon:
        assert other is icon or tray_icon(other, variant).pixmap(16, 16).toImage() != drawn
    assert tray_icon(icon, variant).isMask() == (variant == "template")


def test_templates_are_black(app: QApplication) -> None:
    for icon in Icon:
        drawn = tray_icon(icon, "template").pixmap(32, 32).toImage()
        colours = [drawn.pixelColor(x, y) for x in range(drawn.width()) for y in range(drawn.height())]
        assert all(colour.alpha() == 0 or colour.lightness() < 5 for colour in colours)


def test_the_app_has_an_icon(app: QApplication) -> None:
    assert not app_icon().pixmap(64, 64).isNull()


def test_the_files_are_what_is_drawn() -> None:
    files = {path.name: path.read_text() for path in (FOLDER / "icons").iterdir()}
    assert files == drawings()
