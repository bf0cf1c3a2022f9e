"""A server that is not the one meant, certificates that are out of date, clocks that are wrong: what people see then."""

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives import serialization

from protocol.join_link import JoinLink
from tests.lab.network import SERVER, Lab
from tests.lab.node import wait_for
from tests.lab.programs import Member, Server
from tests.unit.helper.clients.servers import certificate

pytestmark = pytest.mark.lab
HOUR, DAY = 3600.0, 86400.0


@dataclass
class Refusal:
    sentence: str
    hint: str


def refusal(member: Member, server: Server, *where: str) -> Refusal:
    """Try to join a server that can't be taken for the one meant; what was said. Nothing of the try may be left."""
    before = member.node.snapshot()
    member.start()
    helper, key = member.node.pids(), str(server.setup_key()["key"])
    done = member.covey("up", *where, "--setup-key-file", member.keyfile(key), check=False)
    assert done.returncode == 1, done
    assert not done.stdout
    sentence, hint = done.stderr.splitlines()  # a sentence and a next step, no more
    for text in (done.stderr, member.node.log("covey-helper")):
        assert "Traceback" not in text
        assert key not in text
    assert member.status()["daemonStatus"] == "Idle"
    assert member.node.snapshot() == before
    assert member.node.pids() == helper
    member.stop()
    wait_for("no process is left", lambda: not member.node.pids())
    return Refusal(sentence, hint)


def with_certificate(lab: Lab, begin: float, end: float) -> Server:
    """A server whose certificate is valid from and until so many seconds from now."""
    dates = tuple(datetime.fromtimestamp(int(time.time() + seconds), UTC) for seconds in (begin, end))
    made = certificate("covey-server", dates=(dates[0], dates[1]))
    files = lab.scratch / "certificate.pem", lab.scratch / "key.pem"
    files[1].touch(mode=0o600)
    files[0].write_bytes(made.pem)
    files[1].write_bytes(
        made.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return Server(lab, "--certificate", str(files[0]), "--certificate-key", str(files[1]))


def test_a_server_with_another_certificate_than_the_join_link_names_is_refused(lab: Lab) -> None:
    server = Server(lab)
    link = JoinLink.parse(server.where()[1])
    other = str(replace(link, server=replace(link.server, fingerprint=bytes(32))))
    said = refusal(Member(lab.host("alice")), server, "--join", other)
    assert SERVER in said.sentence
    assert "another certificate than the one that the join link names" in said.sentence
    assert "fresh join link" in said.hint


def test_a_self_signed_server_is_not_trusted_by_its_address_alone(lab: Lab) -> None:
    server = Server(lab)
    said = refusal(Member(lab.host("alice")), server, "--management-url", f"https://{SERVER}:443")
    assert f"the certificate of {SERVER}:443 is not to be trusted" in said.sentence.replace("The", "the")
    assert "join link" in said.hint


@pytest.mark.parametrize(
    ("begin", "end", "clock", "words", "step"),
    [
        pytest.param(HOUR, 365 * DAY, -DAY, "becomes valid on", "Set this machine's clock", id="clock-behind"),
        pytest.param(-12 * HOUR, -HOUR, DAY, "was valid until", "Set this machine's clock", id="clock-ahead"),
        pytest.param(-90 * DAY, -HOUR, 0.0, "ran out on", "has to renew its certificate", id="not-renewed"),
    ],
)
def test_dates_that_do_not_fit_are_told(lab: Lab, begin: float, end: float, clock: float, words: str, step: str) -> None:
    server = with_certificate(lab, begin, end)
    asked = time.time() + clock
    said = refusal(Member(lab.host("alice"), clock=clock), server, *server.where())
    assert words in said.sentence
    assert "this machine's clock says" in said.sentence
    told = datetime.strptime(said.sentence.partition("clock says ")[2][:16], "%Y-%m-%d %H:%M").replace(tzinfo=UTC).timestamp()
    assert asked - 60 <= told <= time.time() + clock  # by the minute
    assert step in said.hint


def test_a_clock_that_is_a_day_behind_keeps_nobody_from_meeting(lab: Lab) -> None:
    server = Server(lab)
    key = str(server.setup_key()["key"])
    alice, bob = members = Member(lab.host("alice"), clock=-DAY), Member(lab.host("bob"))
    for member in members:
        member.start()
        member.up(server, key)
    alice.reaches(bob)
    assert alice.node.log("covey-helper")[:10] == time.strftime("%Y-%m-%d", time.localtime(time.time() - DAY))
