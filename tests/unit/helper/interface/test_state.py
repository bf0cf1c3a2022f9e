"""What to do about an interface that others changed."""

import ipaddress

from helper.interface.state import (
    AddAddress,
    InterfaceState,
    RemoveRoute,
    Route,
    SetMtu,
    SetRoute,
    SetUp,
    differences,
    wanted_state,
)

ADDRESS = ipaddress.ip_interface("100.92.0.1/16")
OVERLAY = ADDRESS.network
BOB, CAROL = ipaddress.ip_network("100.92.0.2/32"), ipaddress.ip_network("100.92.0.3/32")
WANTED = wanted_state(ADDRESS, 1280, {BOB: 1216})
THERE = {OVERLAY: Route(is_ours=False), BOB: Route(1216)}


def test_nothing_is_done_where_all_is_right_and_others_things_stay() -> None:
    others = {ipaddress.ip_network("192.0.2.0/24"): Route(is_ours=False)}
    addresses = frozenset({ADDRESS, ipaddress.ip_interface("10.9.9.9/24")})
    assert differences(WANTED, InterfaceState(True, 1280, addresses, {**THERE, **others})) == []


def test_routes_wait_until_the_kernel_has_made_its_own() -> None:
    assert differences(WANTED, InterfaceState(False, 1400, frozenset(), {})) == [SetMtu(1280), AddAddress(ADDRESS), SetUp()]


def test_routes_come_go_and_change_only_when_they_are_ours() -> None:
    actual = InterfaceState(True, 1280, frozenset({ADDRESS}), {BOB: Route(1168), CAROL: Route(1216)})
    assert differences(WANTED, actual) == [
        SetRoute(OVERLAY, 0, is_new=True),
        SetRoute(BOB, 1216, is_new=False),
        RemoveRoute(CAROL),
    ]
    theirs = InterfaceState(True, 1280, frozenset({ADDRESS}), {**THERE, BOB: Route(1000, is_ours=False)})
    assert differences(WANTED, theirs) == []


def test_an_overlay_of_one_address_has_no_route() -> None:
    assert wanted_state(ipaddress.ip_interface("100.92.0.1/32"), 1280, {}).routes == {}
