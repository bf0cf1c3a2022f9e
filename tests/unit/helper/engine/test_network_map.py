"""Reading network maps, and what to do about the difference of two."""

import ipaddress

import pytest

from helper.engine.network_map import RemotePeer, changes, read_network_map
from protocol.generated.management_pb2 import NetworkMap, PeerConfig, RemotePeerConfig
from protocol.keys import PrivateKey, PublicKey

OWN, ALICE, BOB = sorted((PrivateKey(bytes([n]) * 32).public for n in (1, 2, 3)), key=lambda key: key.text)


def entry(key: PublicKey, *networks: str, fqdn: str = "") -> RemotePeerConfig:
    return RemotePeerConfig(wgPubKey=key.text, allowedIps=networks, fqdn=fqdn)


def network_map(*peers: RemotePeerConfig, address: str = "100.92.0.1/16") -> NetworkMap:
    return NetworkMap(Serial=7, peerConfig=PeerConfig(address=address, fqdn="me.covey.internal"), remotePeers=peers)


def remote(key: PublicKey, network: str, fqdn: str = "") -> RemotePeer:
    return RemotePeer(key, (ipaddress.ip_network(network),), fqdn)


def test_a_map_says_who_we_are_and_who_else_is_there() -> None:
    found = read_network_map(network_map(entry(ALICE, "100.92.0.2/32", fqdn="alice")), OWN)
    assert str(found.address) == "100.92.0.1/16"
    assert found.peers[ALICE].fqdn == "alice"
    assert str(found.peers[ALICE].ip) == "100.92.0.2"


def test_one_bad_entry_is_skipped_alone() -> None:
    bad = [RemotePeerConfig(wgPubKey="junk", allowedIps=["100.92.0.9/32"]), entry(BOB), entry(BOB, "nonsense")]
    found = read_network_map(network_map(*bad, entry(ALICE, "100.92.0.2/32")), OWN)
    assert list(found.peers) == [ALICE]


def test_our_own_entry_and_a_thief_of_our_address_are_left_out() -> None:
    found = read_network_map(network_map(entry(OWN, "100.92.0.5/32"), entry(BOB, "100.92.0.1/32")), OWN)
    assert found.peers == {}


@pytest.mark.parametrize("turned", [False, True])
def test_an_address_that_two_claim_goes_to_the_same_one_whatever_the_order(turned: bool) -> None:
    peers = [entry(ALICE, "100.92.0.2/32"), entry(BOB, "100.92.0.2/32", "100.92.0.3/32")]
    found = read_network_map(network_map(*(reversed(peers) if turned else peers)), OWN)
    assert str(found.peers[ALICE].ip) == "100.92.0.2"
    assert str(found.peers[BOB].ip) == "100.92.0.3"


def test_without_a_usable_address_the_map_is_refused() -> None:
    with pytest.raises(ValueError, match="address"):
        read_network_map(network_map(address="nonsense"), OWN)


def test_peers_that_stay_the_same_are_not_touched() -> None:
    before = {ALICE: remote(ALICE, "100.92.0.2/32"), BOB: remote(BOB, "100.92.0.3/32")}
    assert changes(before, dict(before)) == ([], [], [])


def test_another_name_is_no_reason_to_connect_anew_but_another_address_is() -> None:
    before = {ALICE: remote(ALICE, "100.92.0.2/32", "alice"), BOB: remote(BOB, "100.92.0.3/32")}
    after = {ALICE: remote(ALICE, "100.92.0.2/32", "anna"), BOB: remote(BOB, "100.92.0.4/32")}
    gone, added, renamed = changes(before, after)
    assert gone == [BOB]
    assert added == [after[BOB]]
    assert renamed == [after[ALICE]]


def test_networks_behind_peers_are_read_and_nonsense_is_skipped() -> None:
    message = network_map(entry(ALICE, "100.92.0.2/32"))
    for number, network in enumerate(("10.1.0.0/16", "nonsense", "192.0.2.7/24")):
        message.Routes.add(ID=str(number), NetID=f"net{number}", Network=network, Peer=ALICE.text)
    message.Routes.add(ID="9", Domains=["example.org"], Network="invalid", Peer=ALICE.text)
    found = read_network_map(message, OWN).networks
    assert [(one.name, one.network, one.domains) for one in found] == [
        ("9", "", ("example.org",)),
        ("net0", "10.1.0.0/16", ()),
        ("net2", "192.0.2.0/24", ()),
    ]
