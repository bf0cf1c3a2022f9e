import dataclasses
import math

from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import SessionExpired, UserBlocked
from protocol.generated.management_pb2 import NetbirdConfig, SyncResponse
from server.management.network_map import AccountMap, farewell, varint
from tests.unit.server.management.values import ACCOUNT, NOW, peer


def response_for(number: int, account_map: AccountMap, config: NetbirdConfig | None = None) -> SyncResponse:
    return SyncResponse.FromString(account_map.content(f"id{number:05}").sync_response(config))


@given(count=st.integers(1, 40), chosen=st.integers(1, 40))
def test_every_peer_sees_every_other_and_never_itself(count: int, chosen: int) -> None:
    chosen = min(chosen, count)
    peers = [peer(number) for number in range(1, count + 1)]

    response = response_for(chosen, AccountMap(ACCOUNT, peers, NOW), NetbirdConfig(coveyHosts=["192.0.2.1"]))

    network_map = response.NetworkMap
    assert network_map.Serial == ACCOUNT.serial
    assert [remote.wgPubKey for remote in network_map.remotePeers] == [p.public_key.text for p in peers if p != peer(chosen)]
    assert network_map.remotePeersIsEmpty == (count == 1)
    assert network_map.peerConfig.address == f"100.92.0.{chosen}/16"
    assert network_map.peerConfig == response.peerConfig
    assert list(response.netbirdConfig.coveyHosts) == ["192.0.2.1"]


def test_entries_hold_what_a_helper_needs() -> None:
    network_map = response_for(1, AccountMap(ACCOUNT, [peer(1), peer(2)], NOW)).NetworkMap

    (remote,) = network_map.remotePeers
    assert list(remote.allowedIps) == ["100.92.0.2/32"]
    assert remote.fqdn == "m2.covey.internal"
    assert remote.agentVersion == "0.77.1"


def test_everything_is_allowed_between_peers_and_nothing_that_is_routed() -> None:
    network_map = response_for(1, AccountMap(ACCOUNT, [peer(1), peer(2)], NOW)).NetworkMap

    assert not network_map.FirewallRules
    assert not network_map.firewallRulesIsEmpty
    assert network_map.routesFirewallRulesIsEmpty


def test_names_of_all_peers_stand_in_one_zone() -> None:
    dns = response_for(1, AccountMap(ACCOUNT, [peer(1), peer(2)], NOW)).NetworkMap.DNSConfig

    assert dns.ServiceEnable
    (zone,) = dns.CustomZones
    assert zone.Domain == "covey.internal."
    assert [(r.Name, r.Type, r.Class, r.TTL, r.RData) for r in zone.Records] == [
        ("m1.covey.internal", 1, "IN", 300, "100.92.0.1"),
        ("m2.covey.internal", 1, "IN", 300, "100.92.0.2"),
    ]


def test_maps_that_differ_only_in_their_serial_have_one_digest() -> None:
    peers = [peer(1), peer(2)]
    before = AccountMap(ACCOUNT, peers, NOW).content("id00001")
    later = AccountMap(dataclasses.replace(ACCOUNT, serial=ACCOUNT.serial + 1), peers, NOW).content("id00001")
    newcomer = AccountMap(ACCOUNT, [*peers, peer(3)], NOW).content("id00001")

    assert before.digest == later.digest
    assert before.digest != newcomer.digest


def test_a_peers_own_new_version_is_news_only_to_the_others() -> None:
    before = AccountMap(ACCOUNT, [peer(1), peer(2)], NOW)
    later = AccountMap(ACCOUNT, [peer(1), peer(2, version="0.80.0")], NOW)

    assert before.content("id00002").digest == later.content("id00002").digest
    assert before.content("id00001").digest != later.content("id00001").digest


def test_a_farewell_empties_everything_and_configures_nothing() -> None:
    response = SyncResponse.FromString(farewell(7))

    assert response.NetworkMap.Serial == 7
    assert response.NetworkMap.remotePeersIsEmpty
    assert response.NetworkMap.firewallRulesIsEmpty
    assert not response.NetworkMap.HasField("peerConfig")


def test_varints_are_protobufs() -> None:
    assert [varint(number).hex() for number in (0, 1, 127, 128, 300, 2**32)] == ["00", "01", "7f", "8001", "ac02", "8080808010"]


def test_who_must_stay_out_is_on_nobodys_map() -> None:
    members = [
        peer(1),
        peer(2, last_login=NOW - 86399),
        peer(3, last_login=NOW - 86400),
        peer(4, last_login=NOW, is_blocked=True),
    ]
    account_map = AccountMap(ACCOUNT, members, NOW)

    network_map = response_for(1, account_map).NetworkMap
    assert [remote.fqdn for remote in network_map.remotePeers] == ["m2.covey.internal"]
    assert {record.Name for record in network_map.DNSConfig.CustomZones[0].Records} == {"m1.covey.internal", "m2.covey.internal"}
    assert [member.id in account_map for member in members] == [True, True, False, False]
    assert type(account_map.why_out("id00003")) is SessionExpired
    assert type(account_map.why_out("id00004")) is UserBlocked
    assert account_map.why_out("somebody else") is None
    assert account_map.next_end == NOW + 1


def test_without_persons_no_session_ends() -> None:
    assert AccountMap(ACCOUNT, [peer(1), peer(2)], NOW).next_end == math.inf
    forever = dataclasses.replace(ACCOUNT, session_lifetime=None)
    account_map = AccountMap(forever, [peer(1, last_login=0.0)], NOW)
    assert "id00001" in account_map
    assert account_map.session_end("id00001") is None
