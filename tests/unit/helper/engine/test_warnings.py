"""Which warnings follow from how things are, and that they come and go by themselves."""

from dataclasses import dataclass
from typing import Any

import pytest

from helper.engine.warning_rules import Circumstances, warnings_of
from helper.engine.warning_watch import WarningWatch
from helper.netmon.others import Others
from helper.netmon.snapshot import LocalAddress
from helper.recorder import Recorder
from helper.warnings import Warnings
from protocol.addresses import Address


@dataclass
class Scene:
    now: Circumstances

    def look_at_server(self) -> None:
        pass

    async def look_around(self) -> None:
        pass

    def circumstances(self) -> Circumstances:
        return self.now


TUNNEL = LocalAddress("tun0", Address.of("100.92.3.4", 0).ip, 16)
CASES: dict[str, dict[str, Any]] = {
    "no-network": {"has_network": False, "management_down": 60.0, "relay_down": 60.0},
    "management-unreachable": {"management_down": 60.0},
    "signal-unreachable": {"signal_down": 60.0},
    "relay-unreachable": {"relay_down": 60.0},
    "udp-blocked": {"udp_blocked": True},
    "map-saved-old": {"map_age": 3 * 86400.0},
    "map-saved-refused": {"map_limit": 30},
    "clock-off": {"clocks": (("bob", 31_536_000.0),)},
    "port-changed": {"displaced": "UDP port 51820 is taken by dnsmasq (process 7)", "port": 51999},
    "other-vpn": {"others": Others(other_vpn="tun0")},
    "overlay-conflict": {"others": Others(overlaps=(TUNNEL,)), "overlay": "100.92.0.0/16"},
    "rp-filter": {"others": Others(strict=("wlan0",)), "needs_paths": True},
    "session-expires-soon": {"session_ends_in": 600.0},
    "captive-portal": {"has_portal": True},
    "certificate-expires-soon": {"certificate": ("The certificate ends.", "Renew it.")},
}


@pytest.mark.parametrize("code", CASES)
def test_each_trouble_has_a_warning_of_its_own(code: str) -> None:
    (notice,) = warnings_of(Circumstances(**CASES[code]))
    assert notice.code == code
    assert notice.sentence.endswith(".")
    assert notice.next.endswith(".") or code == "rp-filter"


@pytest.mark.parametrize(
    "harmless",
    [
        {"management_down": 3.0, "signal_down": 3.0, "relay_down": 3.0},  # a server that restarts
        {"map_age": 600.0},
        {"clocks": (("bob", 5.0), ("carol", 86400.0), ("dave", -3.0))},  # carol's is wrong, not ours
        {"others": Others(strict=("wlan0",))},  # nobody misses a path
        {"session_ends_in": 86400.0},
    ],
    ids=str,
)
def test_what_harms_nobody_is_no_warning(harmless: dict[str, Any]) -> None:
    assert warnings_of(Circumstances(**harmless)) == []


def test_most_clocks_decide_whose_is_wrong() -> None:
    (notice,) = warnings_of(Circumstances(clocks=(("bob", 7200.0), ("carol", 7190.0), ("dave", 0.0))))
    assert "2 hours behind those of 3 other machines" in notice.sentence


def test_the_servers_clock_says_by_how_much_ours_is_wrong_where_that_keeps_us_out() -> None:
    (notice,) = warnings_of(Circumstances(server_clock=-11_550.0, clocks=(("bob", 11_549.0),)))
    assert notice.code == "clock-off"
    assert "3 h 12 min behind the server's" in notice.sentence
    assert warnings_of(Circumstances(server_clock=4.0)) == []


def test_warnings_go_when_their_cause_does_and_leave_others_alone() -> None:
    changes: list[None] = []
    warnings = Warnings(lambda: changes.append(None), Recorder())
    warnings.raise_("of-another-room", "Something.", "Do something.")
    scene = Scene(Circumstances(udp_blocked=True))
    watch = WarningWatch(scene, warnings)
    watch.update()
    watch.update()
    assert {one.code for one in warnings.all()} == {"of-another-room", "udp-blocked"}
    assert len(changes) == 2
    scene.now = Circumstances()
    watch.update()
    assert [one.code for one in warnings.all()] == ["of-another-room"]
