"""`covey doctor` against networks that are what they are (tests/lab/nat.py), and against servers that are not there."""

import json
from typing import Any

import pytest

from tests.lab.nat import CONE, NO_UDP_NAT, PORT_RESTRICTED, SYMMETRIC, Nat
from tests.lab.network import SERVER_OTHER, Lab
from tests.lab.node import wait_for
from tests.lab.programs import Member, Server

pytestmark = pytest.mark.lab


def doctor(member: Member) -> tuple[int, dict[str, Any], dict[str, dict[str, Any]]]:
    """The exit code, the document, and its checks by their ids."""
    ran = member.covey("doctor", "--json", check=False)
    document: dict[str, Any] = json.loads(ran.stdout)
    return ran.returncode, document, {check["id"]: check for check in document["checks"]}


@pytest.mark.parametrize("nat", [PORT_RESTRICTED, SYMMETRIC, CONE, NO_UDP_NAT], ids=lambda nat: nat.name)
def test_the_doctor_tells_which_nat_it_is(lab: Lab, nat: Nat) -> None:
    server = Server(lab, "--public-address", SERVER_OTHER)
    alice = Member(lab.host("alice", lab.router(nat)))
    alice.start()
    alice.up(server, str(server.setup_key()["key"]))

    code, document, checks = doctor(alice)

    wait_for("the status tells of the STUN servers", lambda: all(one["since"] for one in alice.status()["stun"]["details"]))
    stun = alice.status()["stun"]
    assert (stun["available"] > 0) is (nat is not NO_UDP_NAT), stun

    if nat is NO_UDP_NAT:
        found = document["nat"]["mapping"], checks["udp"]["ok"], checks["turn"]["ok"], code
        assert found == ("unknown", False, True, 1), checks
    else:
        assert (document["nat"]["mapping"], document["nat"]["filtering"]) == (nat.mapping, nat.filtering), document
        assert code == 0, checks
    for name in ("helper", "signed-in", "interface", "port", "network", "management", "signal", "certificate", "clock"):
        assert checks[name]["ok"] is True, checks[name]

    if nat is PORT_RESTRICTED:  # once is enough: the server is gone, then the helper
        server.stop()
        code, document, checks = doctor(alice)
        assert code == 1
        for name in ("management", "signal", "stun", "turn"):
            assert checks[name]["ok"] is False, checks[name]
            assert checks[name]["next"]
        assert checks["udp"]["ok"] is None, "the server is away, the network is not to blame"
        assert checks["network"]["ok"] is True, checks["network"]
        assert checks["helper"]["ok"] is True
        alice.stop()
        code, document, checks = doctor(alice)
        assert (code, checks["helper"]["ok"]) == (1, False)
        assert "helper" in alice.covey("doctor", check=False).stdout
