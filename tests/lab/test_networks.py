"""The lab itself: every kind of network is shown to be what it says, without Covey."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import traffic
from tests.lab.link import LinkQuality
from tests.lab.nat import CONE, HAIRPIN, NATS, PORT_RESTRICTED, SYMMETRIC, Nat, Verdict
from tests.lab.network import SERVER, SERVER6, Lab
from tests.lab.node import NAMESPACES, Node, wait_for

pytestmark = pytest.mark.lab
PROBE = (sys.executable, str(Path(__file__).with_name("probe.py")))


@pytest.fixture
def probed(lab: Lab) -> Lab:
    """A lab whose server tells everybody how it sees them."""
    lab.server.spawn("probe", *PROBE, "answer")
    wait_for("the probe on the server", lambda: lab.server.listens(3478))
    return lab


def ask(host: Node) -> dict[str, object]:
    answer: dict[str, object] = json.loads(host.run(*PROBE, "ask").stdout)
    return answer


def claims(nat: Nat) -> dict[str, object]:
    return {"mapping": nat.mapping, "filtering": nat.filtering, "tcp_ports": sorted(nat.tcp_ports)}


def echo(host: Node) -> tuple[str, str]:
    """Let the host echo what reaches it; return its mapped address."""
    host.spawn("echo", *PROBE, "echo")
    mapped = json.loads(wait_for("the mapped address", lambda: host.log("echo").strip()))
    return mapped[0], str(mapped[1])


@pytest.mark.parametrize("nat", NATS.values(), ids=NATS)
def test_a_nat_maps_and_filters_as_it_claims(probed: Lab, nat: Nat) -> None:
    host = probed.host("host", probed.router(nat, ipv6=True))
    assert ask(host) == claims(nat)
    if nat.ipv6 and nat.name != "only-443":
        host.reaches(SERVER6)
    else:
        assert not host.answers(SERVER6, 0.5)


@pytest.mark.parametrize("outer", [PORT_RESTRICTED, SYMMETRIC], ids=lambda nat: nat.name)
def test_behind_a_carrier_the_outer_nat_decides(probed: Lab, outer: Nat) -> None:
    carrier = probed.router(outer, carrier=True)
    host = probed.host("host", probed.router(PORT_RESTRICTED, behind=carrier))
    assert host.place is not None
    assert host.place.address.startswith("100.64.")
    assert ask(host) == claims(outer)


@pytest.mark.parametrize("outer", [PORT_RESTRICTED, CONE, HAIRPIN], ids=lambda nat: nat.name)
def test_two_homes_of_one_carrier_meet_only_where_it_hairpins(probed: Lab, outer: Nat) -> None:
    carrier = probed.router(outer, carrier=True)
    one, other = (probed.host(name, probed.router(CONE, behind=carrier)) for name in ("one", "other"))
    mapped = echo(one)
    assert (other.run(*PROBE, "call", *mapped, check=False).returncode == 0) is outer.hairpin


@pytest.mark.parametrize("verdict", ["drop", "reject"])
def test_a_cut_stops_udp_between_two_sites_until_it_is_lifted(probed: Lab, verdict: Verdict) -> None:
    here, there = probed.router(CONE), probed.router(CONE)
    one, other = probed.host("one", here), probed.host("other", there)
    mapped = echo(one)
    lift = probed.cut(here, there, verdict)
    assert other.run(*PROBE, "call", *mapped, check=False).returncode != 0
    assert ask(other) == claims(CONE)  # others are reached as before
    lift()
    assert other.run(*PROBE, "call", *mapped, check=False).returncode == 0


def test_an_ipv6_site_has_no_ipv4(lab: Lab) -> None:
    host = lab.host("host", lab.router(PORT_RESTRICTED, ipv4=False, ipv6=True))
    host.reaches(SERVER6)
    assert not host.answers(SERVER, 0.2)


def test_a_moved_host_is_seen_from_another_network(probed: Lab) -> None:
    first, second = probed.router(PORT_RESTRICTED), probed.router(SYMMETRIC)
    host = probed.host("host", first)
    before = host.address
    probed.move(host, second)
    assert host.address != before
    assert ask(host) == claims(SYMMETRIC)


def test_a_renumbered_router_shows_its_new_address(probed: Lab) -> None:
    router = probed.router(CONE)
    host = probed.host("host", router)
    before = echo(host)
    probed.renumber(router)
    probed.host("other", router).reaches(SERVER)
    stranger = probed.host("stranger", probed.router(CONE))
    assert stranger.run(*PROBE, "call", *before, check=False).returncode != 0
    assert router.address != before[0]


def test_a_link_delays_loses_and_drops_what_is_too_long(lab: Lab) -> None:
    host = lab.host("host", link=LinkQuality(delay=0.04))
    assert host.link is not None
    host.reaches(SERVER)  # resolves the neighbour, which takes a round trip too
    ping = host.run("ping", "-n", "-c5", "-i0.02", "-W30", SERVER).stdout
    fastest = float(ping.rsplit("= ", 1)[1].split("/")[0])
    assert fastest >= 79.9  # milliseconds; the clock that ping reads may be slewed meanwhile
    host.link.change(LinkQuality(size=600))
    host.reaches(SERVER)
    assert host.run("ping", "-n", "-c1", "-W0.3", "-s800", SERVER, check=False).returncode != 0
    host.link.change(LinkQuality(loss=1.0))
    assert not host.answers(SERVER, 0.3)


def test_a_snapshot_tells_what_changed(lab: Lab) -> None:
    host = lab.host("host", lab.router(PORT_RESTRICTED))
    before = host.snapshot()
    host.script(
        ip=["link add x type veth peer name y", "link set x up", "addr add 192.0.2.1/24 dev x", "rule add pref 7 lookup main"]
    )
    changed = host.snapshot()
    assert {what for what in before if before[what] != changed[what]} == {"links", "addresses", "routes", "rules"}
    host.script(ip=["link del x", "rule del pref 7"])
    assert host.snapshot() == before


def test_a_lab_leaves_nothing_behind() -> None:
    lab = Lab()

    def break_off() -> None:
        with lab:
            lab.host("host", lab.router(CONE)).spawn("idle", "sleep", "60")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    assert not [entry for entry in NAMESPACES.iterdir() if entry.name.startswith(lab.prefix)]
    assert not lab.scratch.exists()


def test_the_next_lab_removes_what_a_killed_one_left() -> None:
    program = "from tests.lab.network import Lab\nimport os\nlab = Lab().__enter__()\nprint(lab.prefix)\nos.kill(os.getpid(), 9)"
    root = Path(__file__).parents[2]
    killed = subprocess.run(
        [sys.executable, "-c", "import sys; sys.stdout.reconfigure(line_buffering=True)\n" + program],
        cwd=root,
        capture_output=True,
        text=True,
    )
    assert killed.returncode == -9
    assert (NAMESPACES / f"{killed.stdout.strip()}server").exists()
    with Lab():
        assert not (NAMESPACES / f"{killed.stdout.strip()}server").exists()
    assert os.path.isdir(NAMESPACES)


def test_traffic_proves_that_it_arrived(lab: Lab) -> None:
    one, other = lab.host("one"), lab.host("other")
    receiver = traffic.start(other, "receive", "receive", other.address, 7000)
    wait_for("the receiver listens", lambda: other.listens(7000))
    sent = traffic.start(one, "send", "send", other.address, 7000, 3_000_000).finish()
    assert sent["sha256"] == receiver.finish()["sha256"]
    flows = [traffic.start(a, "flow", "flow", a.address, 7001, b.address, 1000) for a, b in ((one, other), (other, one))]
    wait_for("both ends are there", lambda: all(7001 in node.udp_ports() for node in (one, other)))
    before = other.traffic()
    for flow in flows:
        flow.go()
    wait_for("some packets have passed", lambda: other.traffic() > before + 100_000)
    for flow in flows:
        flow.stop()
    here, there = (flow.finish() for flow in flows)
    assert (here["sent"], there["sent"]) == (there["received"], here["received"])
    assert here["sent"] + there["sent"] > 500
    assert here["reordered"] == there["reordered"] == 0
