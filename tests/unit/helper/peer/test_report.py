"""What two ends tell each other about their networks."""

import math

from hypothesis import given
from hypothesis import strategies as st

from helper.ice.binding import Credentials
from helper.peer.messages import Description, Offer, from_body, to_body
from helper.peer.report import LOOK, REPEAT, Correspondence, Report, read_report
from protocol.generated import signalexchange_pb2 as wire

FULL = Report(
    nat_mapping="address-dependent",
    nat_filtering="everything",
    udp_blocked=True,
    relay="tls",
    in_other_vpn=True,
    port_mapped=True,
    has_ipv6=True,
    hides_addresses=True,
    version="0.5.0",
    wireguard_port=51820,
    answering=3,
    hears=True,
    path="relayed",
    clock=1e9,
)


def test_a_report_crosses_the_wire_alone_and_with_an_offer() -> None:
    alone = from_body(wire.Body.FromString(to_body(FULL).SerializeToString()))
    offer = Offer(Description(Credentials("ufrag", "password"), report=FULL))
    with_offer = from_body(wire.Body.FromString(to_body(offer).SerializeToString()))
    assert isinstance(alone, Report)
    assert isinstance(with_offer, Offer)
    assert (alone, alone.clock, with_offer.description.report) == (FULL, 1e9, FULL)
    assert to_body(FULL).type == wire.Body.HEARTBEAT  # which stock peers ignore


def test_a_heartbeat_of_a_stock_peer_is_no_report() -> None:
    assert from_body(wire.Body(type=wire.Body.HEARTBEAT)) is None


@given(st.text(max_size=50), st.floats(allow_nan=True, allow_infinity=True), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_nonsense_counts_as_unknown(text: str, clock: float, port: int, count: int) -> None:
    told = wire.Report(
        natMapping=text, natFiltering=text, relayTransport=text, path=text, coveyVersion=text, clock=clock, wireguardPort=port,
        answering=count,
    )  # fmt: skip
    read = read_report(told)
    assert read.nat_mapping in ("", "none", "endpoint-independent", "address-dependent", "address-and-port-dependent")
    assert len(read.version) <= 32
    assert read.version.isascii()
    assert math.isfinite(read.clock)
    assert 0 <= read.wireguard_port <= 65535
    assert read.answering < 1000


def test_news_wait_until_the_peer_has_told_something_and_time_has_passed() -> None:
    talk = Correspondence()
    talk.tell(Report(), now=0.0, wall_clock=1e9)
    assert not talk.may_tell(now=100.0)  # a stock peer, for all we know
    talk.hear(FULL, wall_clock=1e9 + 90)
    assert talk.clock_ahead == -90
    assert not talk.may_tell(now=REPEAT - 1)
    assert talk.may_tell(now=REPEAT)
    assert talk.is_news(Report(hears=True), now=REPEAT)
    assert not talk.may_tell(now=REPEAT + LOOK / 2)
    assert talk.may_tell(now=REPEAT + LOOK)
    told = talk.tell(Report(hears=True), now=REPEAT, wall_clock=2e9)
    assert told.clock == 2e9
    assert not talk.is_news(Report(hears=True), now=REPEAT)  # that the clock went on is none
    assert not talk.may_tell(now=2 * REPEAT - 1)


def test_a_peer_that_became_a_stock_one_has_told_nothing() -> None:
    talk = Correspondence()
    talk.hear(FULL, wall_clock=0.0)
    talk.hear(None, wall_clock=0.0)
    assert (talk.theirs, talk.clock_ahead) == (None, 0.0)
