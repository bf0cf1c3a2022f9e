"""What the tray's icon and window say is what is, whatever happens to the helper, to the tray's host, or to this program."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.tray.view import Icon
from tests.lab.desktop import Desktop
from tests.lab.network import Lab
from tests.lab.node import PATIENCE, LabError, Process, wait_for
from tests.lab.programs import BIN, Member, Server
from tests.lab.scenarios import SCENARIOS
from tests.lab.shown import TITLE, Shown

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]
CONNECTED, MISSING, SILENT = (
    "^Connected, 1 of 1 peers$",
    "^Covey's helper is not running$",
    "^Covey's helper has not answered since ",
)
SLOW = 10.0  # seconds that a helper is held up


def alices_machine(lab: Lab) -> Member:
    """In the network, connected to bob."""
    here, there = SCENARIOS["public-public"].build(lab)
    server, alice, bob = Server(lab), Member(here), Member(there)
    key = str(server.setup_key()["key"])
    for member in (alice, bob):
        member.start()
        member.up(server, key)
    wait_for("alice is connected to bob", lambda: alice.status()["peers"]["connected"] == 1)
    return alice


def pictures(lab: Lab) -> Path:
    return lab.logs / "pictures"


@contextlib.contextmanager
def stopped(member: Member) -> Iterator[float]:
    """The helper gets no time; the value is since when."""
    assert member.process is not None
    os.kill(member.process.pid, signal.SIGSTOP)
    try:
        yield time.monotonic()
    finally:
        os.kill(member.process.pid, signal.SIGCONT)


def test_a_helper_that_is_killed_or_restarted_is_told_as_it_is(lab: Lab) -> None:
    alice = alices_machine(lab)
    desktop = Desktop(alice.node, pictures(lab))
    shown, tray = Shown(desktop), desktop.start_covey(alice, "--show-window")
    shown.wait(Icon.CONNECTED, CONNECTED)
    # killed
    alice.kill()
    shown.wait(Icon.HELPER_MISSING, MISSING, time.monotonic())
    desktop.picture("killed")
    # there again
    alice.start()
    shown.wait(Icon.CONNECTED, CONNECTED, time.monotonic())
    desktop.picture("there-again")
    # ended in order, and started anew
    alice.stop()
    shown.wait(Icon.HELPER_MISSING, MISSING, time.monotonic())
    alice.start()
    shown.wait(Icon.CONNECTED, CONNECTED, time.monotonic())
    assert tray.poll() is None


def test_a_helper_that_is_held_up_is_told_and_holds_up_nothing_else(lab: Lab) -> None:
    alice = alices_machine(lab)
    desktop = Desktop(alice.node, pictures(lab))
    shown, tray = Shown(desktop), desktop.start_covey(alice, "--show-window")
    shown.wait(Icon.CONNECTED, CONNECTED)
    with stopped(alice) as since:
        shown.wait(Icon.TROUBLE, SILENT, since)
        desktop.picture("silent")
        while time.monotonic() < since + SLOW:
            desktop.click_icon(3)
            desktop.wait_menu()
            desktop.keys("a")
            desktop.wait_window("^About Covey$")
            desktop.keys("Escape")
            desktop.gone("^About Covey$")
    shown.wait(Icon.CONNECTED, CONNECTED, time.monotonic())
    desktop.picture("continued")
    assert tray.poll() is None


def test_a_helper_that_comes_after_the_tray_is_found(lab: Lab) -> None:
    alice = Member(lab.host("alice"))
    desktop = Desktop(alice.node, pictures(lab))
    shown = Shown(desktop)
    desktop.start_covey(alice, "--show-window")
    shown.wait(Icon.HELPER_MISSING, MISSING)
    desktop.picture("missing")
    alice.start()
    shown.wait(Icon.DISCONNECTED, "^Not set up yet$", time.monotonic())
    desktop.picture("not-set-up")


def test_the_icon_comes_back_into_a_tray_that_ended(lab: Lab) -> None:
    alice = Member(lab.host("alice"))
    alice.start()
    desktop = Desktop(alice.node, pictures(lab))
    shown, tray = Shown(desktop), desktop.start_covey(alice)
    shown.wait_icon(Icon.DISCONNECTED)
    for stop in (Process.kill, Process.terminate):
        stop(desktop.tray)
        desktop.gone("^panel$")
        desktop.start_tray()
        shown.wait_icon(Icon.DISCONNECTED, time.monotonic())
        desktop.picture("in-a-new-tray")
    # it is the same program, and it hears clicks
    desktop.click_icon()
    desktop.wait_window(TITLE)
    desktop.picture("window")
    assert tray.poll() is None


def test_without_a_tray_there_is_a_window(lab: Lab) -> None:
    alice = Member(lab.host("alice"))
    alice.start()
    desktop = Desktop(alice.node, pictures(lab))
    desktop.stop_tray()
    desktop.gone("^panel$")
    shown, covey = Shown(desktop), started(desktop, alice)
    desktop.wait_window(TITLE)
    wait_for("the window tells the state", lambda: shown.line() == "Not set up yet")
    desktop.picture("no-tray")
    # a tray appears: the icon goes there, and the window may be closed
    desktop.start_tray()
    shown.wait(Icon.DISCONNECTED, "^Not set up yet$", time.monotonic())
    desktop.picture("a-tray-appeared")
    close(desktop)
    shown.wait_icon(Icon.DISCONNECTED)
    assert covey.poll() is None
    # it goes: whoever starts Covey once more gets the window, and closing that ends the program
    desktop.stop_tray()
    desktop.gone("^panel$")
    assert started(desktop, alice).wait(PATIENCE) == 0
    desktop.wait_window(TITLE)
    close(desktop)
    assert covey.wait(PATIENCE) == 0


def test_a_second_start_raises_the_first(lab: Lab) -> None:
    alice = Member(lab.host("alice"))
    alice.start()
    desktop = Desktop(alice.node, pictures(lab))
    first = desktop.start_covey(alice)
    assert not desktop.windows(TITLE)
    # there was only the icon, then the window was iconified
    for is_there in (False, True):
        if is_there:
            desktop.run("xdotool", "windowminimize", "--sync", desktop.wait_window(TITLE))
            desktop.gone(TITLE)
        assert started(desktop, alice).wait(PATIENCE) == 0
        desktop.wait_window(TITLE)
        wait_for("the window is in front", lambda: active(desktop) in desktop.windows(TITLE))
        desktop.picture("in-front")
    assert first.poll() is None


def started(desktop: Desktop, member: Member) -> Process:
    """The program started once more, or without a tray."""
    return desktop.spawn("covey-tray", str(BIN / "covey-tray"), "--socket", str(member.socket))


def active(desktop: Desktop) -> str:
    return desktop.run("xdotool", "getactivewindow", check=False).strip()


def close(desktop: Desktop) -> None:
    """Close the window by its key; whatever takes the focus just then may swallow the key, so a person presses it again."""
    for _ in range(5):
        desktop.focus(desktop.wait_window(TITLE))
        desktop.keys("alt+F4")
        with contextlib.suppress(LabError):
            desktop.gone(TITLE, 10)
            return
    desktop.gone(TITLE)
