import random
from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.keys import PublicKey
from server.store.addresses import SHARED_SPACE, candidate_addresses, check_range, choose_range, refuse_clash
from server.store.errors import NetworkRangeRefused


@given(st.binary(min_size=32, max_size=32), st.integers(24, 29))
def test_a_key_tries_every_host_address_of_the_range_once(key: bytes, prefix_length: int) -> None:
    network = IPv4Network(f"100.92.0.0/{prefix_length}")
    assert sorted(candidate_addresses(network, PublicKey(key))) == list(network.hosts())


def test_a_key_comes_back_to_its_address_and_another_key_has_another() -> None:
    network = IPv4Network("100.92.0.0/16")
    first = [next(candidate_addresses(network, PublicKey(bytes([number]) * 32))) for number in range(50)]
    again = [next(candidate_addresses(network, PublicKey(bytes([number]) * 32))) for number in range(50)]
    assert first == again
    assert len(set(first)) == 50


def test_a_drawn_range_avoids_what_the_machine_uses() -> None:
    free = IPv4Network("100.101.0.0/16")
    in_use = [network for network in SHARED_SPACE.subnets(new_prefix=16) if network != free] + [IPv4Network("192.0.2.0/24")]
    assert choose_range(in_use, random.Random(1)) == free
    with pytest.raises(NetworkRangeRefused):
        choose_range([SHARED_SPACE], random.Random(1))


@pytest.mark.parametrize("text", ["127.0.0.0/16", "224.0.0.0/8", "169.254.0.0/16", "100.92.0.0/30", "0.0.0.0/0", "240.0.0.0/8"])
def test_ranges_that_cannot_work_are_refused(text: str) -> None:
    with pytest.raises(NetworkRangeRefused):
        check_range(IPv4Network(text))


def test_a_configured_range_must_not_overlap_a_network_of_this_machine() -> None:
    check_range(IPv4Network("10.92.0.0/16"))
    refuse_clash(IPv4Network("10.92.0.0/16"), [IPv4Network("192.0.2.0/24")])
    with pytest.raises(NetworkRangeRefused, match=r"10\.92\.3\.0/24"):
        refuse_clash(IPv4Network("10.92.0.0/16"), [IPv4Network("10.92.3.0/24")])
