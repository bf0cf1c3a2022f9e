"""The journey of a person: a click in the tray, the sign-in page in a real browser, the tunnel, and all as it was before."""

from pathlib import Path

import pytest

from tests.lab.desktop import Desktop
from tests.lab.network import Lab
from tests.lab.node import wait_for
from tests.lab.person import Person
from tests.lab.programs import Member, Server
from tests.lab.scenarios import DIRECT, SCENARIOS

pytestmark = pytest.mark.lab
TWO_NATS = SCENARIOS["two-nats"]


@pytest.mark.timeout(600)
def test_a_person_clicks_connect_signs_in_and_is_on_the_network(lab: Lab) -> None:
    # given    a network with bob in it, and alice's new machine: a helper that knows no server, and the tray
    here, there = TWO_NATS.build(lab)
    server, alice, bob = Server(lab), Member(here), Member(there)
    bob.start()
    bob.up(server, str(server.setup_key()["key"]))
    ada = Person.added(server, "ada@example.org")
    alice.start()
    before = alice.node.snapshot()
    desktop = Desktop(alice.node, pictures(lab))
    tray = desktop.start_covey(alice)
    first_icon = desktop.icon_picture()
    desktop.picture("not-set-up")
    # when     the join link is clicked somewhere, which starts the program once more
    desktop.open_link(alice, str(server.ask("join-link")["link"]))
    desktop.focus(desktop.wait_window("^Covey: "))
    desktop.picture("join-link")
    desktop.keys("Return")
    # and      she signs in with the browser that opens
    ada.signs_in(desktop)
    # then     the tunnel is up, and everything says so
    wait_for("alice is connected", lambda: alice.status()["daemonStatus"] == "Connected")
    for one, other in ((alice, bob), (bob, alice)):
        one.reaches(other)
        one.sees(other, DIRECT)
    assert alice.status()["email"] == ada.email
    wait_for("the icon has changed", lambda: desktop.icon_picture() != first_icon)
    desktop.focus(desktop.wait_window("^Covey: "))
    desktop.picture("connected")
    # when     she disconnects by the tray's menu
    connected_icon = desktop.icon_picture()
    desktop.choose("d")
    # then
    wait_for("alice is disconnected", lambda: alice.status()["daemonStatus"] == "Idle")
    wait_for("the icon says so", lambda: desktop.icon_picture() != connected_icon)
    desktop.picture("disconnected")
    after = alice.node.snapshot()
    assert after == before
    # and      the next click needs no browser: the session lasts
    desktop.choose("c")
    wait_for("alice is connected again", lambda: alice.status()["daemonStatus"] == "Connected")
    assert tray.poll() is None
    desktop.picture("connected-again")


def pictures(lab: Lab) -> Path:
    return lab.logs / "pictures"
