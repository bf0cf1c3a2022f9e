"""Network maps, one for each peer of an account, from one set of shared parts. Pure.

A serialised protobuf message is the concatenation of its fields. So every peer's entry is serialised once for the
account, and one peer's map is: own head, all entries but its own (two slices), shared tail.
"""

import hashlib
import math
from collections.abc import Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from protocol.errors import CoveyError
from protocol.generated.management_pb2 import (
    CustomZone,
    DNSConfig,
    NetbirdConfig,
    NetworkMap,
    RemotePeerConfig,
    SimpleRecord,
    SyncResponse,
)
from server.management.admission import why_out
from server.management.configuration import peer_config
from server.store.models import Account, Peer

RECORD_TTL = 300  # seconds
TYPE_A = 1  # RFC 1035, section 3.2.2
LENGTH_DELIMITED = 2  # wire type


class AccountMap:
    """The network maps of an account at one moment: every peer that may be in sees every other, online or not.

    Attributes:
        next_end: when the next session ends and the maps change by themselves; infinite if none does.
    """

    def __init__(self, account: Account, members: Sequence[Peer], now: float) -> None:
        """`now` is unix time, in seconds."""
        self.account_id, self.serial = account.id, account.serial
        refusals = {peer.id: why_out(account, peer, now) for peer in members}
        peers = [peer for peer in members if refusals[peer.id] is None]
        self._refusals = {peer_id: refusal for peer_id, refusal in refusals.items() if refusal is not None}
        self._ends = {peer.id: account.session_end(peer) for peer in peers}
        self.next_end = min((end for end in self._ends.values() if end is not None), default=math.inf)
        self._own = {peer.id: peer_config(account, peer) for peer in peers}
        self._slices: dict[str, tuple[int, int]] = {}
        entries = bytearray()
        for peer in peers:
            start = len(entries)
            entries += NetworkMap(remotePeers=[_remote_peer(account, peer)]).SerializeToString()
            self._slices[peer.id] = (start, len(entries))
        self._entries = bytes(entries)
        self._tail = NetworkMap(
            remotePeersIsEmpty=len(peers) < 2,
            DNSConfig=_dns_config(account, peers),
            firewallRulesIsEmpty=False,  # with no rules: everything is allowed
            routesFirewallRulesIsEmpty=True,  # nothing is routed yet, so nothing routed is allowed
        ).SerializeToString()

    @property
    def peer_ids(self) -> frozenset[str]:
        return frozenset(self._own)

    @property
    def kept_out(self) -> frozenset[str]:
        """The ids of members that are not in it: `why_out` says why."""
        return frozenset(self._refusals)

    def __contains__(self, peer_id: str) -> bool:
        return peer_id in self._own

    def why_out(self, peer_id: str) -> CoveyError | None:
        """Why a peer is not in it; None: it was removed, or is in."""
        refusal = self._refusals.get(peer_id)
        return None if refusal is None else type(refusal)(str(refusal))

    def session_end(self, peer_id: str) -> float | None:
        """When the session of a peer that is in ends, unix seconds; None: never."""
        return self._ends[peer_id]

    def content(self, peer_id: str) -> "MapContent":
        """The map of one peer. Raises KeyError if it is not in the account."""
        start, end = self._slices[peer_id]
        own = self._own[peer_id]
        head = NetworkMap(peerConfig=own).SerializeToString()
        body = b"".join((head, self._entries[:start], self._entries[end:], self._tail))
        return MapContent(self.serial, SyncResponse(peerConfig=own).SerializeToString(), body)


class MapContent:
    """One peer's map, ready to send.

    Attributes:
        digest: equal for two maps that differ in nothing but their serial.
    """

    def __init__(self, serial: int, outer: bytes, body: bytes) -> None:
        self._serial, self._outer, self._body = serial, outer, body
        self.digest = hashlib.blake2b(body, digest_size=16).digest()

    def sync_response(self, config: NetbirdConfig | None, session_end: Timestamp | None = None) -> bytes:
        """The serialised SyncResponse; the first of a stream carries the configuration, and one tells an end that is new."""
        before = SyncResponse(netbirdConfig=config, sessionExpiresAt=session_end).SerializeToString()
        serial = NetworkMap(Serial=self._serial).SerializeToString()
        length = len(serial) + len(self._body)
        tag = varint(SyncResponse.NETWORKMAP_FIELD_NUMBER << 3 | LENGTH_DELIMITED)
        return b"".join((before, self._outer, tag, varint(length), serial, self._body))


def farewell(serial: int) -> bytes:
    """The last SyncResponse of a peer that was removed: nobody to talk to, no configuration."""
    empty = NetworkMap(Serial=serial, remotePeersIsEmpty=True, firewallRulesIsEmpty=True)
    return SyncResponse(NetworkMap=empty).SerializeToString()


def varint(number: int) -> bytes:
    """Protobuf's variable-length integer: 7 bits a byte, lowest first, the top bit says that more follow."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _remote_peer(account: Account, peer: Peer) -> RemotePeerConfig:
    return RemotePeerConfig(
        wgPubKey=peer.public_key.text,
        allowedIps=[f"{peer.address}/32"],
        fqdn=f"{peer.name}.{account.dns_domain}",
        agentVersion=peer.meta.netbird_version,
    )


def _dns_config(account: Account, peers: Sequence[Peer]) -> DNSConfig:
    records = [
        SimpleRecord(Name=f"{peer.name}.{account.dns_domain}", Type=TYPE_A, Class="IN", TTL=RECORD_TTL, RData=str(peer.address))
        for peer in peers
    ]
    return DNSConfig(ServiceEnable=True, CustomZones=[CustomZone(Domain=f"{account.dns_domain}.", Records=records)])
