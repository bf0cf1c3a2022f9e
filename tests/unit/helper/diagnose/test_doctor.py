import asyncio

import pytest

from helper.diagnose import machine_checks
from helper.diagnose.certificate import DAY, ends_soon
from helper.diagnose.check import Check
from helper.diagnose.clock import clock_check
from helper.diagnose.doctor import examine, nat_body, summary_of
from helper.diagnose.nat import NatKind
from helper.diagnose.patient import Patient
from helper.diagnose.portal import portal_check
from helper.diagnose.server_checks import stun_servers, udp
from helper.diagnose.web import Head
from helper.relay.servers import TurnServer
from protocol.addresses import Address
from protocol.join_link import ServerLocation
from tests.unit.helper.local_api.scripted import peer, status_document

IDS = {
    *("helper", "signed-in", "interface", "port", "udp", "stun", "turn", "management", "signal", "clock", "dns", "mtu"),
    *("other-vpn", "firewall", "captive-portal", "network", "certificate"),
}


@pytest.fixture(autouse=True)
def without_a_firewall(monkeypatch: pytest.MonkeyPatch) -> None:
    async def rules() -> Check:
        return Check(None, "The firewall's rules can't be read.")

    monkeypatch.setattr(machine_checks, "rules", rules)


def patient(**changes: object) -> Patient:
    status = status_document(peer())
    given = {"status": status, "interface": status["interface"], "preferred_port": status["wireguardPort"], "wants_up": True}
    return Patient(**(given | changes))  # type: ignore[arg-type]


async def test_with_every_server_dead_each_check_says_what_to_do() -> None:
    nowhere = ServerLocation(("127.0.0.1",), 9, bytes(32))
    relay = TurnServer("127.0.0.1", 9, "tcp", "user", "password")

    async with asyncio.timeout(60):
        document = await examine(patient(server=nowhere, signal=nowhere, stun=(("127.0.0.1", 9),), turn=(relay,)))

    checks = {check["id"]: check for check in document["checks"]}
    assert checks.keys() == IDS
    for name in ("stun", "turn", "management", "signal"):
        assert checks[name]["ok"] is False, checks[name]
        assert checks[name]["next"]
    assert checks["udp"]["ok"] is None, "a server that is away says nothing about the network"
    assert "can't be told" in checks["udp"]["sentence"]
    assert (document["summary"]["ok"], document["clock"]) == (False, {"aheadSeconds": None})
    assert document["nat"]["mapping"] == "unknown"
    assert [peer["verdict"]["code"] for peer in document["peers"]][:1] == ["direct"]
    assert "password" not in str(document)


async def test_before_joining_there_is_nothing_to_ask_but_what_to_do_is_said() -> None:
    document = await examine(patient(wants_up=False))
    checks = {check["id"]: check for check in document["checks"]}
    assert checks["signed-in"]["ok"] is False
    assert "covey up --join" in checks["signed-in"]["next"]
    assert all(checks[name]["ok"] is None for name in ("udp", "stun", "turn", "management", "signal", "clock"))


@pytest.mark.parametrize(
    ("head", "ok"),
    [
        (Head(302, {"location": "http://login.hotel.example/"}), False),
        (Head(307, {"location": "//198.51.100.7/portal"}), False),
        (Head(511, {}), False),
        (Head(301, {"location": "https://203.0.113.10/"}), None),  # the server's own web port leads to TLS
        (Head(302, {"location": "/login"}), None),
        (Head(200, {}), None),
        (None, None),
    ],
)
def test_a_network_that_wants_one_to_sign_in_is_told_from_a_server_that_is_away(head: Head | None, ok: bool | None) -> None:
    found = portal_check(head, ServerLocation(("203.0.113.10",), 443))
    assert found.ok is ok
    assert ("browser" in found.next) is (head is not None)


def test_one_stun_server_that_answers_is_enough_and_the_silent_one_is_named() -> None:
    here, silent = Address.of("203.0.113.10", 3478), Address.of("203.0.113.11", 3478)
    found = stun_servers({here: 0.0123, silent: None}, answered=True)
    assert found.ok is True
    assert found.sentence == "STUN: 203.0.113.10:3478 answers in 12 ms, 203.0.113.11:3478 does not answer."
    assert udp({here: None, silent: None}, answered=True).ok is False
    assert udp({here: None, silent: None}, answered=False).ok is None
    assert udp({}, answered=True).ok is None


def test_another_port_than_the_preferred_one_is_told() -> None:
    used = status_document(peer())["wireguardPort"]
    assert machine_checks.port(patient()).ok is True
    assert machine_checks.port(patient(preferred_port=used + 1)).ok is False


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (NatKind(mapping="none"), "no NAT"),
        (NatKind(mapping="address-and-port-dependent"), "symmetric"),
        (NatKind(is_blocked=True), "No UDP"),
        (NatKind(), "can't be told"),
    ],
)
def test_the_nat_is_told_in_words_too(kind: NatKind, words: str) -> None:
    assert words in nat_body(kind, has_network=True)["sentence"]
    assert "no network" in nat_body(kind, has_network=False)["sentence"]


@pytest.mark.parametrize(
    ("ahead", "ok", "words"),
    [
        (11_550.0, False, "is 3 h 12 min ahead of"),
        (-2 * 86_400.0, False, "is 2 d behind"),
        (-42.0, True, "is 42 s behind"),
        (1.4, True, "right"),
        (None, None, "does not tell"),
    ],
)
def test_how_far_the_clock_is_off_is_a_number(ahead: float | None, ok: bool | None, words: str) -> None:
    found = clock_check(ahead)
    assert found.ok is ok
    assert words in found.sentence


@pytest.mark.parametrize(("days", "words"), [(20.0, ""), (13.5, "in 13 days"), (0.5, "less than a day"), (-1.0, "ran out")])
def test_a_certificate_that_ends_within_two_weeks_is_told_with_its_date(days: float, words: str) -> None:
    found = ends_soon(1_800_000_000.0, 1_800_000_000.0 - days * DAY, is_pinned=True)
    assert (found is None) is (words == "")
    if found is not None:
        assert words in found[0]
        assert "2027-01-15 08:00 UTC" in found[0]
        assert "join link" in found[1]


def test_all_is_well_only_where_the_tunnel_is_up_and_reaches_everybody() -> None:
    fine, wrong = Check(True, "Fine."), Check(False, "Wrong.")
    assert summary_of([fine], patient())["sentence"] == "All is well."
    assert summary_of([fine, wrong], patient())["ok"] is False
    away = patient(status=status_document(peer(), peer(name="carol", status="Connecting")))
    assert summary_of([fine], away) == {"ok": None, "sentence": "No check failed, but 1 machine is not connected."}
    down = patient(status={**status_document(peer()), "interface": ""}, wants_up=False)
    assert "tunnel is down" in summary_of([fine], down)["sentence"]
