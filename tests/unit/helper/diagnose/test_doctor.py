import asyncio

import pytest

from helper.diagnose import machine_checks, server_checks
from helper.diagnose.check import Check
from helper.diagnose.doctor import examine, nat_body
from helper.diagnose.nat import NatKind
from helper.diagnose.patient import Patient
from helper.diagnose.server_checks import stun_servers, udp
from helper.diagnose.web import Head
from helper.relay.servers import TurnServer
from protocol.addresses import Address
from protocol.join_link import ServerLocation
from tests.unit.helper.local_api.scripted import peer, status_document

IDS = {
    *("helper", "signed-in", "interface", "port", "udp", "stun", "turn", "management", "signal", "clock", "dns", "mtu"),
    *("other-vpn", "firewall", "captive-portal"),
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
    for name in ("udp", "stun", "turn", "management", "signal"):
        assert checks[name]["ok"] is False, checks[name]
        assert checks[name]["next"]
    assert document["nat"]["mapping"] == "unknown"
    assert [peer["verdict"]["code"] for peer in document["peers"]][:1] == ["direct"]
    assert "password" not in str(document)


async def test_before_joining_there_is_nothing_to_ask_but_what_to_do_is_said() -> None:
    document = await examine(patient(wants_up=False))
    checks = {check["id"]: check for check in document["checks"]}
    assert checks["signed-in"]["ok"] is False
    assert "covey up --join" in checks["signed-in"]["next"]
    assert all(checks[name]["ok"] is None for name in ("udp", "stun", "turn", "management", "signal", "clock"))


@pytest.mark.parametrize(("code", "ok"), [(302, False), (307, False), (511, False), (200, None), (None, None)])
async def test_a_network_that_wants_one_to_sign_in_is_told_from_a_server_that_is_away(
    code: int | None, ok: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(_: str) -> Head:
        if code is None:
            raise ConnectionRefusedError
        return Head(code, {})

    monkeypatch.setattr(server_checks, "ask_plainly", answer)
    server = ServerLocation(("203.0.113.10",), 443)
    found = await server_checks.captive_portal(server, reached=False)
    assert found.ok is ok
    assert ("browser" in found.next) is (code is not None)
    assert (await server_checks.captive_portal(server, reached=True)).ok is True


def test_one_stun_server_that_answers_is_enough_and_the_silent_one_is_named() -> None:
    here, silent = Address.of("203.0.113.10", 3478), Address.of("203.0.113.11", 3478)
    found = stun_servers({here: 0.0123, silent: None})
    assert found.ok is True
    assert found.sentence == "STUN: 203.0.113.10:3478 answers in 12 ms, 203.0.113.11:3478 does not answer."
    assert udp({here: None, silent: None}).ok is False
    assert udp({}).ok is None


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
    assert words in nat_body(kind)["sentence"]
