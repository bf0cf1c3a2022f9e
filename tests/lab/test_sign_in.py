"""People who sign in without a desktop: codes for another screen, sessions that end, persons who are shut out."""

import json
import re

import pytest

from tests.lab.network import Lab
from tests.lab.node import Node, wait_for
from tests.lab.person import Person
from tests.lab.programs import Login, Member, Server
from tests.lab.scenarios import SCENARIOS

pytestmark = pytest.mark.lab
TWO_NATS = SCENARIOS["two-nats"]
SHORT = '[sign-in]\nsession-lifetime = "60s"\n'


def network(lab: Lab, config: str = "") -> tuple[Server, Person, Member, Member]:
    """A server, a person, a machine of theirs that is not in yet, and bob's, which is."""
    here, there = TWO_NATS.build(lab)
    flags: tuple[str, ...] = ()
    if config:
        file = lab.scratch / "server.toml"
        file.write_text(config)
        flags = ("--config", str(file))
    server, alice, bob = Server(lab, *flags), Member(here), Member(there)
    bob.start()
    bob.up(server, str(server.setup_key()["key"]))
    alice.start()
    return server, Person.added(server, "ada@example.org"), alice, bob


def sign_in(server: Server, person: Person, member: Member, phone: Node) -> None:
    """By the device code, approved on another machine."""
    login = Login(member, *server.where())
    asked = login.event("sign-in")
    person.visits(phone, asked["url"], asked["user_code"], "allow")
    assert login.event("signed-in")["email"] == person.email
    assert login.ended() == 0


def test_a_code_on_another_screen_signs_a_machine_in(lab: Lab) -> None:
    server, ada, alice, bob = network(lab)
    needed = alice.covey("up", *server.where(), "--no-login", check=False)
    assert (needed.returncode, "sign in" in needed.stderr.lower()) == (4, True), needed.stderr
    sign_in(server, ada, alice, bob.node)
    alice.reaches(bob)
    assert alice.status()["email"] == ada.email
    assert alice.status()["sessionExpiresAt"][:2] == "20"


def test_the_first_start_makes_an_owner_who_invites_somebody(lab: Lab) -> None:
    here, there = TWO_NATS.build(lab)
    server, alice, phone = Server(lab), Member(here), there
    ada, eve = Person("ada@example.org"), Person("eve@example.org")
    found = re.search(r"https://\S+/welcome/\S+", server.node.log("covey-server"))
    assert found, "the first start prints a link for the owner"
    assert ada.visits(phone, found[0], "", "").startswith("Welcome")
    server.restart()
    assert len(re.findall(r"/welcome/", server.node.log("covey-server"))) == 1, "an owner is made once"
    eve.visits(phone, str(server.ask("invite")["link"]), "", "")
    assert {user["email"]: user["role"] for user in server.people()} == {ada.email: "owner", eve.email: "user"}
    alice.start()
    sign_in(server, eve, alice, phone)


def test_whoever_says_no_is_told_so(lab: Lab) -> None:
    server, ada, alice, bob = network(lab)
    login = Login(alice, *server.where())
    asked = login.event("sign-in")
    ada.visits(bob.node, asked["url"], asked["user_code"], "deny")
    failed = login.event("failed")
    assert failed["sentence"]
    assert login.ended() == 4
    assert alice.status()["daemonStatus"] in ("Idle", "NeedsLogin")


def test_a_blocked_person_is_out(lab: Lab) -> None:
    server, ada, alice, bob = network(lab)
    sign_in(server, ada, alice, bob.node)
    alice.reaches(bob)
    address = alice.address
    server.ask("users", "block", ada.email)
    wait_for("bob's list has nobody any more", lambda: bob.status()["peers"]["total"] == 0)
    wait_for("alice is told", lambda: alice.status()["daemonStatus"] in ("NeedsLogin", "LoginFailed"))
    assert not bob.node.answers(address)
    refused = Login(alice, *server.where())
    asked = refused.event("sign-in")
    ada.visits(bob.node, asked["url"], asked["user_code"], "allow")
    server.ask("users", "unblock", ada.email)
    refused.end()
    sign_in(server, ada, alice, bob.node)
    alice.reaches(bob)


def test_a_session_ends_while_connected_and_a_new_sign_in_revives_it(lab: Lab) -> None:
    server, ada, alice, bob = network(lab, SHORT)
    sign_in(server, ada, alice, bob.node)
    alice.reaches(bob)
    wait_for("the session has ended", lambda: alice.status()["daemonStatus"] == "NeedsLogin")
    told = alice.status()["error"]
    assert told["code"] == "session-expired", json.dumps(told)
    wait_for("bob's list has nobody any more", lambda: bob.status()["peers"]["connected"] == 0)
    alice.forget_tokens()
    sign_in(server, ada, alice, bob.node)
    alice.reaches(bob)
