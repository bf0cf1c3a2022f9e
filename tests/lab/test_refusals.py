"""What people see when something is wrong: one plain sentence, the right exit code, and no secret."""

import json
from collections.abc import Iterator

import pytest

from tests.lab.network import Lab
from tests.lab.node import wait_for
from tests.lab.programs import BIN, Member, Server

pytestmark = pytest.mark.lab
BIN_SERVER, BIN_HELPER = BIN / "covey-server", BIN / "covey-helper"


@pytest.fixture
def server(lab: Lab) -> Iterator[Server]:
    server = Server(lab)
    yield server
    server.stop()


def refusal(lab: Lab, server: Server, name: str, key: str) -> str:
    """Try to join with this key; return the sentence that came instead."""
    member = Member(lab.host(name))
    member.start()
    done = member.covey("up", *server.where(), "--setup-key-file", member.keyfile(key), check=False)
    said = done.stderr + done.stdout
    assert done.returncode == 4, f"{name}: exit code {done.returncode}, saying {said}"
    assert "Traceback" not in said
    assert key not in said
    assert key not in member.node.log("covey-helper")
    return str(done.stderr.strip().splitlines()[0])


def test_each_wrong_setup_key_has_its_own_sentence(lab: Lab, server: Server) -> None:
    once, revoked = server.setup_key("--usage-limit", "1"), server.setup_key("--reusable")
    expired = server.setup_key("--reusable", "--expires-in", "1s")
    server.node.run(str(BIN_SERVER), "setup-keys", "revoke", str(revoked["id"]), "--data-dir", str(server.data))
    first = Member(lab.host("first"))
    first.start()
    first.up(server, str(once["key"]))
    wait_for("the key's second is over", lambda: "expired" in server.states_of_keys())
    keys = {
        "used-up": str(once["key"]),
        "revoked": str(revoked["key"]),
        "expired": str(expired["key"]),
        "malformed": "not-a-key",
        "unknown": "5b6c8e1d-0000-4000-8000-0123456789ab",
    }
    sentences = {name: refusal(lab, server, name, key) for name, key in keys.items()}
    assert len(set(sentences.values())) == len(keys), sentences


def test_without_a_helper_the_cli_says_so(lab: Lab) -> None:
    member = Member(lab.host("alone"))
    for words in (["status"], ["down"], ["peers"]):
        done = member.covey(*words, check=False)
        assert done.returncode == 3
        assert "Traceback" not in done.stderr


def test_an_unreachable_server_is_named_in_time(lab: Lab) -> None:
    member = Member(lab.host("alice"))
    member.start()
    keyfile = member.keyfile("5b6c8e1d-0000-4000-8000-0123456789ab")
    done = member.covey(
        "up", "--management-url", "https://203.0.113.99:443", "--setup-key-file", keyfile, "--timeout", "8", check=False
    )
    assert done.returncode in (1, 5)
    assert "203.0.113.99" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_wrong_scheme_is_recognised(lab: Lab, server: Server) -> None:
    member = Member(lab.host("alice"))
    member.start()
    keyfile = member.keyfile(str(server.setup_key()["key"]))
    for url in ("http://203.0.113.10:443", "https://203.0.113.10:443"):
        done = member.covey("up", "--management-url", url, "--setup-key-file", keyfile, check=False)
        assert done.returncode == 1
        assert ("https://" in done.stderr) if url.startswith("http:") else ("certificate" in done.stderr), done.stderr


def test_a_second_helper_on_the_same_state_is_refused(lab: Lab) -> None:
    member = Member(lab.host("alice"))
    member.start()
    words = ("--state-dir", str(member.folder / "state"), "--socket", str(member.socket), "--interface", member.interface)
    done = member.node.run(str(BIN_HELPER), "run", *words, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()
    assert member.status()["daemonStatus"]


def test_a_helper_that_never_joined_leaves_the_machine_alone(lab: Lab) -> None:
    member = Member(lab.host("alice"))
    before = member.node.snapshot()
    member.start()
    assert json.loads(member.covey("status", "--json").stdout)["peers"]["total"] == 0
    assert member.node.snapshot() == before
    member.stop()
    wait_for("no process is left", lambda: not member.node.pids())
