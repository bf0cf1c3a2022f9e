"""A router that maps ports, miniupnpd as on many home routers: two symmetric NATs meet directly, and nothing stays behind."""

import pytest

from tests.lab.meeting import Meeting
from tests.lab.nat import MAPPING, SYMMETRIC
from tests.lab.network import Lab
from tests.lab.node import wait_for
from tests.lab.router_daemon import MappingDaemon
from tests.lab.scenarios import DIRECT

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("method", ["pcp", "upnp"])
def test_two_symmetric_nats_meet_by_a_mapped_port_that_goes_again(lab: Lab, method: str) -> None:
    # given
    router = lab.router(MAPPING)
    daemon = MappingDaemon(lab, router, pcp_and_nat_pmp=method == "pcp")
    meeting = Meeting(lab, (lab.host("alice", router), lab.host("bob", lab.router(SYMMETRIC))))
    alice = meeting.alice
    # then     without the mapping they could only relay
    meeting.settle(DIRECT)
    told = alice.status()["portMapping"]
    assert (told["protocol"], told["external"].split(":")[0], told["error"]) == (method, daemon.address, "")
    assert len(daemon.mappings()) == 1
    # when     the helper is killed and comes back
    alice.kill()
    assert daemon.mappings()
    alice.start()
    wait_for("it is mapped again", lambda: (alice.status()["portMapping"] or {}).get("external"))
    assert len(daemon.mappings()) == 1
    # when
    alice.covey("down")
    # then
    assert daemon.mappings() == []
    # when     it is killed while up, and somebody tidies up without it
    alice.covey("up")
    wait_for("it is mapped again", daemon.mappings)
    alice.kill()
    alice.node.run(*alice.covey_words("cleanup", "--state-dir", str(alice.folder / "state")))
    assert daemon.mappings() == []
