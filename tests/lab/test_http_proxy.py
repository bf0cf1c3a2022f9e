"""A network out of which nothing leads but an HTTP proxy that wants a sign-in (field case P64)."""

import io
import json
import sys
import zipfile

import pytest

from tests.lab.meeting import Meeting
from tests.lab.nat import PORT_RESTRICTED
from tests.lab.network import SERVER, Lab
from tests.lab.node import Node, wait_for
from tests.lab.programs import Member, Server
from tests.lab.scenarios import DIRECT, RELAYED, TLS, UDP
from tests.lab.test_doctor import doctor
from tests.lab.test_verdicts import say

pytestmark = pytest.mark.lab
USER, WORD, PORT = "alice", "hush-7-hush", 3128


@pytest.fixture
def proxy(lab: Lab) -> Node:
    """A proxy on the internet, which lets through to port 443 alone."""
    node = lab.host("proxy")
    node.spawn("proxy", sys.executable, "-m", "tests.support.http_proxy", node.address, str(PORT), f"{USER}:{WORD}")
    wait_for("the proxy listens", lambda: node.listens(PORT))
    return node


def shut(router: Node, proxy: Node) -> None:
    """Let nothing out but TCP to the proxy, and answer nothing else: not even with an error."""
    rule = f'iifname "lan" ip daddr != {proxy.address} drop; iifname "lan" meta l4proto != tcp drop;'
    router.script(nft=f"table inet shut {{\n  chain out {{ type filter hook forward priority -10; {rule}\n  }}\n}}\n")


def written(member: Member, text: str) -> str:
    """The path of a file that holds the password."""
    path = member.folder / "proxy-password"
    path.write_text(f"{text}\n")
    return str(path)


def test_two_machines_meet_though_only_a_proxy_leads_out_of_one_network(lab: Lab, proxy: Node) -> None:
    office, home = lab.router(PORT_RESTRICTED), lab.router(PORT_RESTRICTED)
    shut(office, proxy)
    url = f"http://{{}}{proxy.address}:{PORT}"

    def join(member: Member, server: Server, key: str) -> None:
        words = ("up", *server.where(), "--setup-key-file", member.keyfile(key), "--hostname", member.name)
        if member.name != "alice":
            member.up(server, key)
            return
        done = member.covey(*words, "--timeout", "20", "--proxy", url.format(""), check=False)
        assert done.returncode == 1, done
        assert "wants a user name and a password" in done.stderr
        assert "covey up --proxy http://USER@" in done.stderr
        member.covey(*words, "--proxy", url.format(f"{USER}@"), "--proxy-password-file", written(member, WORD))

    meeting = Meeting(lab, (lab.host("alice", office), lab.host("bob", home)), log_level="debug", join=join)
    alice, bob = meeting.members
    meeting.check_pings()
    meeting.settle(RELAYED)
    meeting.check_relays((TLS, UDP))
    say(meeting, "relayed-udp-blocked-here", "relayed-udp-blocked-there")
    meeting.copy(alice, bob)
    meeting.copy(bob, alice)
    assert f"{office.address} {SERVER}:443 200" in proxy.log("proxy").splitlines()
    _, _, checks = doctor(alice)
    assert checks["management"]["ok"] is True, checks
    assert f"through the proxy {proxy.address}:{PORT}" in checks["management"]["sentence"]
    assert (checks["signal"]["ok"], checks["turn"]["ok"], checks["udp"]["ok"]) == (True, True, False), checks
    assert checks["certificate"]["ok"] is True, checks
    assert checks["clock"]["ok"] is True, checks

    # the setting outlives the helper
    alice.stop()
    alice.start()
    alice.reaches(bob)

    # nobody is told the password
    preferences = alice.ask("GET", "/v1/preferences")
    assert preferences["proxy"] == url.format(f"{USER}@")
    report = alice.folder / "report.zip"
    alice.covey("debug", "bundle", "-o", str(report))
    with zipfile.ZipFile(io.BytesIO(report.read_bytes())) as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    texts |= {
        "log": alice.node.log("covey-helper"),
        "status": json.dumps(alice.status()),
        "preferences": json.dumps(preferences),
        "events": alice.covey("events", "--json").stdout,
        "doctor": json.dumps(checks),
    }
    assert [name for name, text in texts.items() if WORD in text] == []
    assert "through the proxy" in texts["log"]

    # a laptop that left the office
    lab.move(alice.node, lab.router(PORT_RESTRICTED))
    proxy.run("nft", f"add table inet gone {{ chain in {{ type filter hook input priority 0; tcp dport {PORT} drop; }}; }}")
    meeting.check_pings()
    meeting.settle(DIRECT)
    wait_for("the straight way is said", lambda: "straight: the proxy" in alice.node.log("covey-helper"))


def test_the_environment_of_the_service_names_the_proxy_and_what_is_reached_without(lab: Lab, proxy: Node) -> None:
    office = lab.router(PORT_RESTRICTED)
    shut(office, proxy)
    server = Server(lab)
    key = str(server.setup_key()["key"])
    named = f"HTTPS_PROXY=http://{USER}:{WORD}@{proxy.address}:{PORT}"
    alice = Member(lab.host("alice", office), environment=(named,))
    alice.start()
    alice.up(server, key)
    wait_for("the relay serves", lambda: alice.status()["relays"]["available"])
    assert alice.ask("GET", "/v1/preferences")["proxy"] == ""

    bob = Member(lab.host("bob"), environment=(named, f"NO_PROXY={SERVER}"))
    bob.start()
    bob.up(server, key)
    alice.reaches(bob)
    assert WORD not in alice.node.log("covey-helper") + bob.node.log("covey-helper")
    assert f" {SERVER}:443 200" in proxy.log("proxy")
    assert f"{bob.node.address} {SERVER}:" not in proxy.log("proxy")
