"""The search for a path's MTU as a script: which sizes it asks, and what it makes of the answers."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helper.ice.path_mtu import (
    BUSY_EVERY,
    IDLE_EVERY,
    ROUNDS,
    STALLED_EVERY,
    UNKNOWN_FOR,
    PathMtu,
    message_length,
    overhead,
    smaller_sizes,
)

FULL = 1280
IPV4 = smaller_sizes(FULL, overhead(is_ipv6=False, is_relayed=False))
TIMEOUT = 0.5


def run(
    search: PathMtu, now: float, carried: int, *, loss: float = 0.0, own_link: int = 9000, seed: int = 1
) -> tuple[float, int]:
    """Drive a search over a line that carries packets of so many bytes, until it rests; return when, and how much it sent."""
    chance, sent, rests_until = random.Random(seed), 0, now + 20
    while search.deadline < rests_until:
        now = max(now, search.deadline)
        for size in search.advance(now, TIMEOUT):
            sent += size
            if size > own_link:
                search.refused(size, now)
            elif size <= carried and chance.random() >= loss:
                search.answered(size, now + 0.04)
    return now, sent


def test_an_ordinary_line_costs_one_probe() -> None:
    search = PathMtu(FULL, IPV4, 0.0)
    assert search.advance(0.0, TIMEOUT) == [FULL]
    search.answered(FULL, 0.04)
    assert search.mtu == FULL
    assert search.advance(1.0, TIMEOUT) == []
    assert search.deadline == 0.04 + IDLE_EVERY


@pytest.mark.parametrize(("line", "inside"), [(1340, 1280), (1339, 1248), (1300, 1232), (1280, 1216), (1200, 1136)])
def test_a_narrow_line_is_filled_as_far_as_it_goes(line: int, inside: int) -> None:
    search = PathMtu(FULL, IPV4, 0.0)
    run(search, 0.0, line - overhead(is_ipv6=False, is_relayed=False))
    assert search.mtu == inside


def test_what_passed_holds_before_the_search_ends() -> None:
    search = PathMtu(FULL, IPV4, 0.0)
    search.advance(0.0, TIMEOUT)
    for size in search.advance(TIMEOUT, TIMEOUT):
        if size <= 1216:
            search.answered(size, TIMEOUT + 0.04)
    assert search.advance(2 * TIMEOUT, TIMEOUT) == [1232, 1248, FULL]
    assert search.mtu == 1216


def test_our_own_narrow_link_needs_no_patience() -> None:
    search = PathMtu(FULL, IPV4, 0.0)
    until, _ = run(search, 0.0, 9000, own_link=1216)
    assert search.mtu == 1216
    assert until <= TIMEOUT


def test_a_path_that_answers_nothing_is_not_called_narrow() -> None:
    search = PathMtu(FULL, IPV4, 0.0)
    now = 0.0
    for _ in range(ROUNDS + 2):
        now = search.deadline
        search.advance(now, TIMEOUT)
    assert search.mtu is None
    assert search.deadline == now + UNKNOWN_FOR[0]
    run(search, search.deadline, 1216)
    assert search.mtu == 1216


def test_a_line_that_becomes_narrower_is_noticed_soon_when_data_flows() -> None:
    search = PathMtu(FULL, IPV4, 0.0)
    run(search, 0.0, FULL)
    search.counted(sent=148, received=92)  # a handshake
    assert search.deadline == 0.04 + IDLE_EVERY
    search.counted(sent=100_000, received=5000)
    assert search.deadline == 0.04 + BUSY_EVERY
    search.counted(sent=1308, received=32)  # TCP repeats a large packet, and hears nothing but keepalives
    assert search.deadline == 0.04 + STALLED_EVERY
    run(search, search.deadline, 1168)
    assert search.mtu == 1168


def test_a_line_that_becomes_wider_is_used_and_one_that_stays_narrow_costs_little() -> None:
    search = PathMtu(FULL, IPV4, 0.0)
    run(search, 0.0, 1216)
    _, sent = run(search, search.deadline, 1216)
    assert search.mtu == 1216
    assert sent == 1216 + 1232 + FULL
    run(search, search.deadline, 1248)
    assert search.mtu == 1248
    run(search, search.deadline, FULL)
    assert search.mtu == FULL


@given(st.integers(0, 10_000))
def test_loss_never_makes_a_packet_pass_that_does_not(seed: int) -> None:
    search = PathMtu(FULL, IPV4, 0.0)
    run(search, 0.0, 1216, loss=0.3, seed=seed)
    assert search.mtu is None or search.mtu <= 1216


def test_sizes_stay_within_the_line_when_wireguard_fills_them_up() -> None:
    for extra in (overhead(is_ipv6=six, is_relayed=relayed) for six in (False, True) for relayed in (False, True)):
        for size in smaller_sizes(FULL, extra):
            assert size % 16 == 0
            assert message_length(size, FULL) == size + 32
    assert message_length(1420, 1420) == 1452
    assert message_length(1430, 1430) == 1464
