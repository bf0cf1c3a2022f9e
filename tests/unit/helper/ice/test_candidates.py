"""Candidates on the wire: round trips, and what a hostile peer may not make us do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helper.ice.candidates import is_routed, make_candidate, parse_sdp, to_sdp
from protocol.addresses import Address

HOST = Address.of("10.0.0.1", 51820)


@pytest.mark.parametrize("address", ["203.0.113.4", "2001:db8::4"])
def test_a_candidate_survives_the_wire(address: str) -> None:
    candidate = make_candidate("srflx", Address.of(address, 4711), HOST)
    assert parse_sdp(to_sdp(candidate, "abcd1234")) == (candidate, "abcd1234")


def test_a_stock_candidate_is_read_with_whatever_it_carries_behind() -> None:
    text = "candidate:123 1 udp 1694498815 203.0.113.4 61000 typ srflx raddr 0.0.0.0 rport 0 ufrag FrAgMeNt cid " + "x" * 32
    candidate, ufrag = parse_sdp(text)
    assert (candidate.kind, str(candidate.address), ufrag) == ("srflx", "203.0.113.4:61000", "FrAgMeNt")


@pytest.mark.parametrize(
    "text",
    [
        "1 1 udp 1 evil.example 1 typ host",
        "1 1 udp 1 printer.local 1 typ host",
        "1 1 udp 1 127.0.0.1 1 typ host",
        "1 1 udp 1 224.0.0.1 1 typ host",
        "1 1 udp 1 255.255.255.255 9 typ host",
        "1 1 udp 1 0.0.0.0 1 typ host",
        "1 1 udp 1 fe80::1%eth0 1 typ host",
        "1 1 udp 1 10.0.0.1 0 typ host",
        "1 1 udp 1 10.0.0.1 70000 typ host",
        "1 1 tcp 1 10.0.0.1 1 typ host",
        "1 2 udp 1 10.0.0.1 1 typ host",
        "1 1 udp 1 10.0.0.1 1 typ nonsense",
        "1 1 udp x 10.0.0.1 1 typ host",
        "",
        "1 1 udp 1 10.0.0.1 1 typ host " + "x" * 600,
    ],
)
def test_what_nobody_could_use_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"candidate|only"):
        parse_sdp(text)


@given(st.text(max_size=120))
def test_no_text_raises_anything_else(text: str) -> None:
    try:
        parse_sdp(text)
    except ValueError:
        return


def test_private_and_shared_addresses_are_not_routed() -> None:
    assert not any(
        is_routed(Address.of(text, 1).ip) for text in ("10.1.2.3", "100.64.0.9", "192.168.1.1", "fd00::1", "169.254.1.1")
    )
    assert all(is_routed(Address.of(text, 1).ip) for text in ("203.0.113.1", "8.8.8.8", "2001:db8::1"))
