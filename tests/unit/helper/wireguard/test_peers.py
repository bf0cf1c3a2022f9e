import ipaddress
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from helper.wireguard.device import PeerSettings
from helper.wireguard.peers import NO_PRESHARED_KEY, ConfigurePeer, PeerChange, PeerTable, RemovePeer
from protocol.addresses import Address, IPNetwork
from protocol.keys import PublicKey

KEYS = [PublicKey(bytes([number]) * 32) for number in range(1, 4)]
NETWORKS = [ipaddress.ip_network(f"100.92.0.{number}/32") for number in range(4)]
HERE, THERE = Address.parse("192.0.2.7:1"), Address.parse("192.0.2.8:2")
PEER = PeerSettings(KEYS[0], (NETWORKS[0],), HERE, 25)


def told(peer: PeerSettings, *, afresh: bool = False) -> PeerTable:
    table = PeerTable()
    table.set_peer(peer, afresh=afresh)
    return table


def test_a_new_peer_is_told_whole_and_the_same_one_not_again() -> None:
    table = PeerTable()
    whole = ConfigurePeer(KEYS[0], HERE, 25, NO_PRESHARED_KEY, (NETWORKS[0],), replace_allowed_ips=True)
    assert table.set_peer(PEER, afresh=False) == [whole]
    assert table.set_peer(PEER, afresh=False) == []
    assert table.set_peer(PEER, afresh=True) == [RemovePeer(KEYS[0]), whole]


def test_only_differences_are_told() -> None:
    assert told(PEER).set_peer(replace(PEER, endpoint=THERE), afresh=False) == [ConfigurePeer(KEYS[0], THERE)]
    assert told(PEER).set_peer(replace(PEER, persistent_keepalive=0), afresh=False) == [
        ConfigurePeer(KEYS[0], persistent_keepalive=0)
    ]
    assert told(PEER).set_peer(replace(PEER, endpoint=None), afresh=False) == []  # where it is now WireGuard knows better


def test_allowed_ips_are_added_one_by_one_and_replaced_only_when_some_go() -> None:
    more, other = replace(PEER, allowed_ips=(NETWORKS[0], NETWORKS[1])), replace(PEER, allowed_ips=(NETWORKS[1],))
    assert told(PEER).set_peer(more, afresh=False) == [ConfigurePeer(KEYS[0], allowed_ips=(NETWORKS[1],))]
    assert told(PEER).set_peer(other, afresh=False) == [
        ConfigurePeer(KEYS[0], allowed_ips=(NETWORKS[1],), replace_allowed_ips=True)
    ]


def test_a_preshared_key_can_be_taken_away_again() -> None:
    with_key = replace(PEER, preshared_key=b"\x05" * 32)
    assert told(with_key).set_peer(PEER, afresh=False) == [ConfigurePeer(KEYS[0], preshared_key=NO_PRESHARED_KEY)]
    assert "\\x05" not in repr(told(PEER).set_peer(with_key, afresh=False))


def test_an_endpoint_is_told_every_time_and_never_makes_a_peer() -> None:
    table = told(PEER)
    move = [ConfigurePeer(KEYS[0], THERE, update_only=True)]
    assert table.set_endpoint(KEYS[0], THERE, None) == move
    assert table.set_endpoint(KEYS[0], THERE, None) == move
    assert table.set_peer(replace(PEER, endpoint=THERE), afresh=False) == []
    assert table.set_endpoint(KEYS[1], THERE, 25) == [ConfigurePeer(KEYS[1], THERE, 25, update_only=True)]


def test_what_failed_is_told_whole_next_time() -> None:
    table = told(PEER)
    table.forget(KEYS[0])
    assert table.set_peer(PEER, afresh=False) == told(PEER).set_peer(PEER, afresh=True)[1:]


class WireGuard:
    """What WireGuard does with allowed IPs: each belongs to the peer that named it last."""

    def __init__(self) -> None:
        self.peers: dict[PublicKey, set[IPNetwork]] = {}

    def apply(self, changes: list[PeerChange]) -> None:
        for change in changes:
            if isinstance(change, RemovePeer):
                self.peers.pop(change.public_key, None)
                continue
            if change.update_only and change.public_key not in self.peers:
                continue
            mine = self.peers.setdefault(change.public_key, set())
            if change.replace_allowed_ips:
                mine.clear()
            for others in self.peers.values():
                others.difference_update(change.allowed_ips)
            mine.update(change.allowed_ips)


Step = tuple[int, list[int], bool, bool]  # peer, networks, afresh, remove
STEPS = st.lists(st.tuples(st.integers(0, 2), st.lists(st.integers(0, 3), max_size=3), st.booleans(), st.booleans()))


@given(STEPS)
def test_after_any_steps_the_last_peer_set_has_what_it_should(steps: list[Step]) -> None:
    table, wireguard = PeerTable(), WireGuard()
    for peer, numbers, afresh, remove in steps:
        key, networks = KEYS[peer], tuple(NETWORKS[number] for number in numbers)
        if remove:
            wireguard.apply(table.remove_peer(key))
            assert key not in wireguard.peers
        else:
            wireguard.apply(table.set_peer(PeerSettings(key, networks), afresh=afresh))
            assert wireguard.peers[key] == set(networks)
