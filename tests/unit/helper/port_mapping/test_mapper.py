"""What is asked of a router, as scripts."""

from collections.abc import Callable
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helper.port_mapping.events import (
    Action,
    Ask,
    Event,
    Failed,
    GatewayChanged,
    Granted,
    Hint,
    Look,
    Offer,
    Probe,
    Seen,
    TimePassed,
)  # fmt: skip
from helper.port_mapping.gateway import Gateway
from helper.port_mapping.mapper import LEASE, LOOK, PORT_TRIES, PREFERENCE, RETRY, RETRY_MAX, Mapper, has_restarted
from helper.port_mapping.operations import METHODS, Grant, MappingRefused, Method, Reason, Sight
from protocol.addresses import Address

HOME = Gateway(IPv4Address("192.168.1.1"), IPv4Address("192.168.1.7"))
OFFICE = Gateway(IPv4Address("10.0.0.1"), IPv4Address("10.0.0.9"))
OUTER = Address.of("203.0.113.5", 51820)
OTHER = Address.of("203.0.113.5", 40000)
PROBES = [Probe(method) for method in METHODS]


def grant(external: Address = OUTER, lease: float = LEASE, epoch: int | None = 100) -> Grant:
    return Grant(external, lease, epoch)


def refusal(reason: Reason = "refused") -> MappingRefused:
    return MappingRefused("it does not allow it", reason)


def mapper() -> Mapper:
    return Mapper(51820, pick=lambda low, high: 40000)


def mapped(method: Method = "pcp", granted: Grant | None = None) -> Mapper:
    """One that has a mapping since 0.0 s."""
    one = mapper()
    one.handle(GatewayChanged(HOME), 0.0)
    for other in METHODS:
        one.handle(Seen(other, Sight()) if other == method else Failed(other), 0.0)
    assert one.handle(Granted(method, granted or grant()), 0.0) == [Offer(HOME, (granted or grant()).external)]
    return one


def test_all_methods_are_probed_at_once_and_pcp_is_asked_first() -> None:
    one = mapper()
    assert one.handle(GatewayChanged(HOME), 0.0) == PROBES
    assert one.handle(Seen("nat-pmp", Sight(5)), 0.01) == []
    assert one.handle(Seen("pcp", Sight(5)), 0.02) == [Ask("pcp", 51820, LEASE)]
    assert one.handle(Seen("upnp", Sight()), 0.9) == []
    assert one.handle(Granted("pcp", grant()), 1.0) == [Offer(HOME, OUTER)]
    assert one.mapped == ("pcp", OUTER)
    assert one.error == ""


def test_a_better_method_is_awaited_only_for_a_moment() -> None:
    one = mapper()
    one.handle(GatewayChanged(HOME), 0.0)
    assert one.handle(Seen("upnp", Sight()), 1.0) == []
    assert one.deadline == 1.0 + PREFERENCE
    assert one.handle(Failed("nat-pmp"), 1.1) == []
    assert one.handle(TimePassed(), 1.0 + PREFERENCE) == [Ask("upnp", 51820, LEASE)]


def test_a_method_that_refuses_makes_room_for_the_next() -> None:
    one = mapper()
    one.handle(GatewayChanged(HOME), 0.0)
    one.handle(Seen("pcp", Sight()), 0.0)
    assert one.handle(Failed("pcp", refusal()), 0.1) == []  # the others are still out
    assert one.handle(Failed("nat-pmp"), 0.2) == []
    assert one.handle(Seen("upnp", Sight()), 1.5) == [Ask("upnp", 51820, LEASE)]


def test_a_router_that_gives_nothing_is_asked_again_later_and_later() -> None:
    one, now, pauses = mapper(), 0.0, []
    assert one.handle(GatewayChanged(HOME), now) == PROBES
    for _ in range(8):
        for method in METHODS:
            one.handle(Failed(method), now)
        assert "offers no port mapping" in one.error
        assert one.deadline is not None
        pauses.append(one.deadline - now)
        now = one.deadline
        assert one.handle(TimePassed(), now) == PROBES
    assert pauses[:3] == [RETRY, 2 * RETRY, 4 * RETRY]
    assert pauses[-1] == RETRY_MAX


def test_the_status_says_which_answer_the_router_gave() -> None:
    one = mapper()
    one.handle(GatewayChanged(HOME), 0.0)
    one.handle(Failed("pcp", MappingRefused("it does not speak PCP")), 0.0)
    one.handle(Failed("upnp"), 0.0)
    one.handle(Seen("nat-pmp", Sight()), 0.0)
    one.handle(Failed("nat-pmp", refusal()), 0.1)
    assert one.error == "The router at 192.168.1.1 gives no port by NAT-PMP: it does not allow it."


def test_what_worked_is_tried_first_and_the_others_when_it_fails() -> None:
    one = mapped("upnp", grant(epoch=None))
    assert one.handle(GatewayChanged(None), 10.0) == [Offer(HOME, None)]
    assert one.handle(GatewayChanged(HOME), 20.0) == [Probe("upnp")]
    assert one.handle(Failed("upnp"), 23.0) == [Probe("pcp"), Probe("nat-pmp")]


def test_the_inner_port_stays_and_the_outer_one_is_kept_when_renewing() -> None:
    one = mapped(granted=grant(OTHER))
    assert one.handle(TimePassed(), LOOK) == [Look("pcp", 40000)]
    one.handle(Seen("pcp", Sight(160)), LOOK)
    one.state.look_at = 1e9  # type: ignore[union-attr]
    assert one.handle(TimePassed(), LEASE / 2) == [Ask("pcp", 40000, LEASE)]
    assert one.handle(Granted("pcp", grant(OTHER, epoch=1900)), LEASE / 2) == []  # nothing new for the peers
    assert one.handle(Granted("pcp", grant(OUTER, epoch=1900)), LEASE / 2) == [Offer(HOME, OUTER)]


def test_a_short_lease_is_renewed_in_time_and_over_when_nobody_answers() -> None:
    one = mapped(granted=grant(lease=20))
    assert one.deadline == 10.0
    assert one.handle(TimePassed(), 10.0) == [Ask("pcp", 51820, LEASE)]
    assert one.handle(Failed("pcp"), 11.75) == []
    assert one.deadline == pytest.approx(15.875)
    assert one.handle(TimePassed(), 15.9) == [Ask("pcp", 51820, LEASE)]
    one.handle(Failed("pcp"), 17.7)
    assert one.handle(TimePassed(), 20.0) == [Offer(HOME, None), Probe("pcp")]


@pytest.mark.parametrize(
    ("sight", "asks"),
    [
        (Sight(160), False),
        (Sight(3), True),  # it has restarted
        (Sight(159, IPv4Address("203.0.113.5")), False),
        (Sight(160, IPv4Address("203.0.113.99")), True),
        (Sight(is_there=False), True),
    ],
)
def test_a_mapping_that_the_router_lost_is_asked_for_at_once(sight: Sight, asks: bool) -> None:
    one = mapped()
    assert one.handle(TimePassed(), 60.0) == [Look("pcp", 51820)]
    assert one.handle(Seen("pcp", sight), 60.0) == ([Ask("pcp", 51820, LEASE)] if asks else [])


def test_a_router_that_knows_no_leases_gives_a_mapping_without_end() -> None:
    one = mapper()
    one.handle(GatewayChanged(HOME), 0.0)
    for method in ("pcp", "nat-pmp"):
        one.handle(Failed(method), 0.0)  # type: ignore[arg-type]
    assert one.handle(Seen("upnp", Sight()), 1.0) == [Ask("upnp", 51820, LEASE)]
    assert one.handle(Failed("upnp", refusal("only-permanent")), 1.1) == [Ask("upnp", 51820, 0)]
    assert one.handle(Granted("upnp", grant(lease=0, epoch=None)), 1.2) == [Offer(HOME, OUTER)]
    assert one.deadline == pytest.approx(1.2 + LOOK)  # looked at, never renewed


def test_a_port_that_others_have_is_not_fought_for_but_for_a_few_tries() -> None:
    one = mapper()
    one.handle(GatewayChanged(HOME), 0.0)
    one.handle(Seen("pcp", Sight()), 0.0)
    for _ in range(PORT_TRIES - 1):
        assert one.handle(Failed("pcp", refusal("conflict")), 0.1) == [Ask("pcp", 40000, LEASE)]
    assert one.handle(Failed("pcp", refusal("conflict")), 0.1) == []


@pytest.mark.parametrize("worthless", [grant(Address.of("0.0.0.0", 51820)), grant(lease=0), grant(Address.of("203.0.113.5", 0))])
def test_a_worthless_mapping_is_offered_to_nobody(worthless: Grant) -> None:
    one = mapper()
    one.handle(GatewayChanged(HOME), 0.0)
    one.handle(Seen("pcp", Sight()), 0.0)
    assert one.handle(Granted("pcp", worthless), 0.1) == []
    assert one.mapped is None


def test_a_router_behind_another_is_of_use_to_some_and_the_status_says_to_whom() -> None:
    one = mapped(granted=grant(Address.of("100.64.3.4", 51820)))
    assert "only 100.64.3.4" in one.error


def test_another_network_starts_over_and_what_comes_late_from_the_former_changes_nothing() -> None:
    one = mapped()
    assert one.handle(GatewayChanged(OFFICE), 5.0) == [Offer(HOME, None), *PROBES]
    assert one.handle(Granted("pcp", grant()), 5.1) == []
    assert one.mapped is None


def test_a_hint_has_the_router_looked_at_but_not_again_and_again() -> None:
    one = mapped()
    assert one.handle(Hint(), 1.0) == [Ask("pcp", 51820, LEASE)]
    one.handle(Granted("pcp", grant(epoch=101)), 1.1)
    assert one.handle(Hint(), 2.0) == []
    assert one.handle(Hint(), 12.0) == [Ask("pcp", 51820, LEASE)]


@pytest.mark.parametrize(
    ("epoch", "elapsed", "restarted"),
    [(1100, 1000, False), (1040, 1000, False), (1160, 1000, False), (0, 1000, True), (99, 0, False), (500, 1000, True)],
)
def test_a_clock_that_went_back_or_astray_means_a_restart(epoch: int, elapsed: float, restarted: bool) -> None:
    assert has_restarted(100, 0.0, epoch, elapsed) is restarted


EVENTS: list[Callable[[], Event]] = [
    *(lambda gateway=gateway: GatewayChanged(gateway) for gateway in (None, HOME, OFFICE)),  # type: ignore[misc]
    *(lambda method=method: Seen(method, Sight(7)) for method in METHODS),  # type: ignore[misc]
    *(lambda method=method: Granted(method, grant(lease=30, epoch=9)) for method in METHODS),  # type: ignore[misc]
    *(lambda method=method: Failed(method) for method in METHODS),  # type: ignore[misc]
    *(lambda method=method: Failed(method, refusal("conflict")) for method in METHODS),  # type: ignore[misc]
    Hint,
    TimePassed,
]


@given(st.lists(st.tuples(st.sampled_from(EVENTS), st.floats(0, 40)), max_size=60))
def test_whatever_comes_in_whatever_order_peers_are_offered_just_what_is_mapped(
    script: list[tuple[Callable[[], Event], float]],
) -> None:
    one, now = mapper(), 0.0
    offered: dict[Gateway, Address] = {}
    for make, pause in script:
        now += pause
        actions: list[Action] = one.handle(make(), now)
        assert len(actions) <= 1 + len(METHODS)
        for action in actions:
            if isinstance(action, Offer) and action.address is not None:
                offered[action.gateway] = action.address
            elif isinstance(action, Offer):
                del offered[action.gateway]
        assert list(offered.items()) == ([(one.gateway, one.mapped[1])] if one.mapped else [])
