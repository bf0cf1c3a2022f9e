import ipaddress

import pytest

from protocol.addresses import Address
from server.stun_turn.peers import PeerPolicy
from tests.unit.server.stun_turn.client import PUBLIC, config

IPV4 = ["0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.31.255.255", "192.168.1.1", "224.0.0.1"]
SPECIAL = ["168.63.129.16", "192.88.99.1", "198.18.0.1", "198.19.255.255", "2001::1", "2001:0:a00:1::"]
IPV6 = ["::", "::1", "::7f00:1", "::ffff:8.8.8.8", "64:ff9b::a00:1", "2002:a00:1::", "fc00::1", "fd12::1", "fe80::1", "ff02::1"]


@pytest.mark.parametrize("ip", [*IPV4, *IPV6, *SPECIAL, "255.255.255.255"])
def test_inner_addresses_are_refused(ip: str) -> None:
    assert not PeerPolicy(config()).permits(ipaddress.ip_address(ip))


@pytest.mark.parametrize(
    "ip", ["8.8.8.8", "100.128.0.1", "172.32.0.1", "198.51.100.1", "2001:4860:4860::8888", "168.63.129.17", "2001:1::1"]
)
def test_public_addresses_are_allowed(ip: str) -> None:
    assert PeerPolicy(config()).reaches(Address.of(ip, 51820))


def test_our_own_address_is_reached_on_relay_ports_only() -> None:
    policy = PeerPolicy(config(relay_ports=(50000, 50099)))
    assert policy.permits(PUBLIC)
    assert policy.reaches(Address(PUBLIC, 50099))
    assert not policy.reaches(Address(PUBLIC, 3478))
    assert not policy.reaches(Address(PUBLIC, 50100))


def test_our_own_private_address_serves_relayed_peers_too() -> None:
    own = ipaddress.ip_address("10.0.0.1")
    policy = PeerPolicy(config(public_addresses=(own,)))
    assert policy.reaches(Address(own, 50000))
    assert not policy.reaches(Address(own, 22))
    assert not policy.reaches(Address.of("10.0.0.2", 50000))


def test_an_address_that_we_listen_on_is_no_peer() -> None:
    policy = PeerPolicy(config(listen=(Address.of("198.51.100.99", 3478),)))
    assert not policy.permits(ipaddress.ip_address("198.51.100.99"))


def test_another_address_of_this_machine_is_no_peer_but_a_public_one_serves_relayed_peers() -> None:
    other = ipaddress.ip_address("2600::2")
    policy = PeerPolicy(config())
    assert policy.permits(other)
    policy.own_addresses = frozenset({other, PUBLIC})
    assert not policy.permits(other)
    assert policy.reaches(Address(PUBLIC, 50000))


def test_allowed_peers_override_every_refusal() -> None:
    policy = PeerPolicy(config(allowed_peers=(ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("203.0.113.1/32"))))
    assert policy.reaches(Address.of("10.1.2.3", 22))
    assert policy.reaches(Address(PUBLIC, 22))
    assert not policy.reaches(Address.of("10.1.2.3", 0))
