"""What goes wrong when people sign in, and what they are told: on a screen where that matters, else as a script sees it."""

import base64
import hashlib
import os
import re
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from app.tray.view import Icon
from tests.lab.desktop import Desktop
from tests.lab.network import SERVER, Lab
from tests.lab.node import wait_for
from tests.lab.person import Person
from tests.lab.programs import Login, Member, Server
from tests.lab.shown import TITLE, Shown, copied
from tests.lab.test_sign_in import SHORT, network, sign_in
from tests.unit.helper.clients.servers import certificate

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]
OPENED = "/bin/true"  # a browser that opens; the test goes on in its place
MISSING = "/bin/false"
BACK = 53000  # the port that browsers come back to


def alone(lab: Lab) -> tuple[Server, Person, Member]:
    """A server with its own provider, a person, and a machine of theirs that is not in yet."""
    server, alice = Server(lab), Member(lab.host("alice"))
    alice.start()
    return server, Person.added(server, "ada@example.org"), alice


def two_servers(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> tuple[Server, Server, Person, Member]:
    """One is the other's provider, with a certificate that every program here trusts; the person is known there only."""
    files = certificate_files(lab)
    monkeypatch.setenv("SSL_CERT_FILE", str(files[0]))
    flags = ("--certificate", str(files[0]), "--certificate-key", str(files[1]))
    provider = Server(lab, *flags, title="covey-provider", port=8443, turn_port=3479)
    server = Server(lab, "--oidc-issuer", f"https://{SERVER}:8443/oauth2", "--oidc-client-id", "covey")
    alice = Member(lab.host("alice"))
    alice.start()
    return provider, server, Person.added(provider, "ada@example.org"), alice


def certificate_files(lab: Lab) -> tuple[Path, Path]:
    """A certificate for the server's address, and its key."""
    made, files = certificate(SERVER), (lab.scratch / "certificate.pem", lab.scratch / "key.pem")
    files[0].write_bytes(made.pem)
    files[1].touch(mode=0o600)
    files[1].write_bytes(
        made.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


def trusting(browser: str, file: Path) -> str:
    """The command for a browser that takes this certificate: Chromium knows it by the SHA-256 of its public key."""
    key = x509.load_pem_x509_certificate(file.read_bytes()).public_key()
    info = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return f"{browser} --ignore-certificate-errors-spki-list={base64.b64encode(hashlib.sha256(info).digest()).decode()}"


def pictures(lab: Lab) -> Path:
    return lab.logs / "pictures"


def parameters(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def comes_back(member: Member, asked: dict[str, str], **changes: str) -> str:
    """What the browser would bring back, with changes; the page that it gets."""
    query = {"code": "a code", "state": parameters(asked["url"])["state"], **changes}
    address = f"{parameters(asked['url'])['redirect_uri']}?{urlencode(query)}"
    return member.node.run("curl", "-sS", "--max-time", "60", address).stdout


def tools_alone(lab: Lab) -> Path:
    """A folder of programs without browsers: only what looks at the screen and types."""
    folder = lab.scratch / "tools"
    folder.mkdir()
    for name in ("xdotool", "xwininfo", "import"):
        (folder / name).symlink_to(shutil.which(name) or name)
    return folder


# ---- on a screen


def test_a_person_of_another_provider_comes_in(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    _, server, ada, alice = two_servers(lab, monkeypatch)
    desktop = Desktop(alice.node, pictures(lab))
    desktop.environment["BROWSER"] = trusting(desktop.environment["BROWSER"], lab.scratch / "certificate.pem")
    shown, _ = Shown(desktop), desktop.start_covey(alice)
    desktop.open_link(alice, str(server.ask("join-link")["link"]))
    desktop.focus(desktop.wait_window(TITLE))
    desktop.picture("address")
    desktop.keys("Return")
    ada.signs_in(desktop)
    shown.wait(Icon.CONNECTED, "^Connected, no other device yet$")
    desktop.focus(desktop.wait_window(TITLE))
    desktop.picture("connected")
    assert alice.status()["email"] == ada.email
    assert {user["email"]: user["role"] for user in server.people()} == {ada.email: "owner"}


def test_without_a_browser_the_window_shows_a_code(lab: Lab) -> None:
    server, ada, alice = alone(lab)
    desktop = Desktop(alice.node, pictures(lab))
    desktop.environment |= {"BROWSER": MISSING, "PATH": str(tools_alone(lab))}
    shown, _ = Shown(desktop), desktop.start_covey(alice)
    desktop.open_link(alice, str(server.ask("join-link")["link"]))
    desktop.focus(desktop.wait_window(TITLE))
    desktop.keys("Return")
    shown.wait(Icon.CONNECTING, "^Waiting for you to sign in")
    code = copied(desktop, TITLE, r"[A-Z0-9]{4}-[A-Z0-9]{4}")
    desktop.picture("code")
    url = copied(desktop, TITLE, r"https://\S+")
    ada.visits(lab.host("phone"), url, code, "allow")
    shown.wait(Icon.CONNECTED, "^Connected")
    desktop.picture("connected")


def test_a_closed_tab_leaves_a_sign_in_that_can_be_given_up(lab: Lab) -> None:
    server, _, alice = alone(lab)
    before = alice.node.snapshot()
    desktop = Desktop(alice.node, pictures(lab))
    shown, tray = Shown(desktop), desktop.start_covey(alice)
    desktop.open_link(alice, str(server.ask("join-link")["link"]))
    desktop.focus(desktop.wait_window(TITLE))
    desktop.keys("Return")
    desktop.focus(desktop.wait_window("^Sign in – Covey"))
    desktop.keys("ctrl+w")
    desktop.gone("^Sign in – Covey")
    shown.wait(Icon.CONNECTING, "^Waiting for you to sign in")
    desktop.picture("tab-closed")
    assert alice.node.listens(BACK)
    desktop.choose("c")
    shown.wait(Icon.DISCONNECTED, "^(Disconnected|Not set up yet)$")
    desktop.picture("given-up")
    wait_for("nobody waits for the browser any more", lambda: not alice.node.listens(BACK))
    assert alice.node.snapshot() == before
    assert tray.poll() is None


def test_a_person_who_is_blocked_while_connected_sees_it(lab: Lab) -> None:
    server, ada, alice, bob = network(lab)
    sign_in(server, ada, alice, bob.node)
    desktop = Desktop(alice.node, pictures(lab))
    shown, _ = Shown(desktop), desktop.start_covey(alice, "--show-window")
    shown.wait(Icon.CONNECTED, "^Connected, 1 of 1 peers$")
    server.ask("users", "block", ada.email)
    shown.wait(Icon.TROUBLE, "^The server refused this device$")  # a sign-in would not help
    desktop.picture("blocked")


def test_a_session_that_ends_while_the_machine_sleeps_is_told_when_it_wakes(lab: Lab) -> None:
    server, ada, alice, bob = network(lab, SHORT)
    sign_in(server, ada, alice, bob.node)
    desktop = Desktop(alice.node, pictures(lab))
    shown, _ = Shown(desktop), desktop.start_covey(alice, "--show-window")
    shown.wait(Icon.CONNECTED, "^Connected, 1 of 1 peers$")
    with asleep(alice):
        wait_for("alice is off bob's map", lambda: bob.status()["peers"]["connected"] == 0)
    shown.wait(Icon.NEEDS_SIGN_IN, "^You need to sign in$")
    assert alice.status()["error"]["code"] == "session-expired"
    desktop.picture("awake")


@contextmanager
def asleep(member: Member) -> Iterator[None]:
    assert member.process is not None
    os.kill(member.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(member.process.pid, signal.SIGCONT)


# ---- as a script sees it


def test_a_taken_port_and_a_foreign_answer_keep_nobody_out(lab: Lab) -> None:
    server, ada, alice = alone(lab)
    alice.node.spawn("holder", "python3", "-m", "http.server", "--bind", "127.0.0.1", str(BACK))
    wait_for("the port is taken", lambda: alice.node.listens(BACK))
    login = Login(alice, *server.where(), browser=OPENED)
    asked = login.event("sign-in")
    assert asked["kind"] == "browser"
    assert urlsplit(parameters(asked["url"])["redirect_uri"]).port not in (None, BACK)
    assert "This did not work" in comes_back(alice, asked, state="of another")
    assert ada.visits(alice.node, asked["url"], "", "allow").startswith("You are signed in")
    assert login.event("signed-in")["email"] == ada.email
    assert login.ended() == 0


def test_whoever_says_no_in_the_browser_is_told_so(lab: Lab) -> None:
    server, ada, alice = alone(lab)
    login = Login(alice, *server.where(), browser=OPENED)
    asked = login.event("sign-in")
    assert ada.visits(alice.node, asked["url"], "", "deny").startswith("You are not signed in")
    assert login.event("failed")["code"] == "sign-in-given-up"
    assert login.ended() == 4
    assert not alice.node.listens(BACK)


def test_a_browser_that_does_not_open_gives_way_to_a_code(lab: Lab) -> None:
    server, ada, alice = alone(lab)
    login = Login(alice, *server.where(), browser=MISSING)
    assert login.event("sign-in")["kind"] == "browser"
    asked = login.event("sign-in")
    assert asked["kind"] == "device"
    ada.visits(lab.host("phone"), asked["url"], asked["user_code"], "allow")
    assert login.event("signed-in")["email"] == ada.email


def test_a_provider_that_stops_in_the_middle_is_named_and_waited_for(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    provider, server, ada, alice = two_servers(lab, monkeypatch)
    by_browser, by_code = Login(alice, *server.where(), browser=OPENED), Login(alice, *server.where())
    asked, code = by_browser.event("sign-in"), by_code.event("sign-in")
    provider.stop()
    # the browser has a code, and there is nobody to change it for a token
    assert "You are not signed in" in comes_back(alice, asked)
    failed = by_browser.event("failed")
    assert failed["code"] == "sign-in-unavailable"
    assert re.search(r"203\.0\.113\.10", failed["sentence"])
    assert by_browser.ended() != 0
    # whoever waits for a code goes on waiting
    provider.start()
    ada.visits(lab.host("phone"), code["url"], code["user_code"], "allow")
    assert by_code.event("signed-in")["email"] == ada.email
