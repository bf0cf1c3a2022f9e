"""The status document: what is, in NetBird's keys where it has them. Pure, apart from reading the clocks it is given."""

import time
from asyncio import get_running_loop
from datetime import UTC, datetime

from helper.engine.link import Link
from helper.engine.local_network import LocalNetwork
from helper.engine.session import Session
from helper.engine.verdict import Verdict
from helper.ice.pair import Pair
from helper.ice.stun_health import SILENT, StunServer
from helper.peer.events import State
from helper.peer.runner import PeerRunner
from helper.relay.health import Known
from helper.relay.relay import Relay
from helper.settings import Settings
from helper.warnings import Warning
from protocol import local_api as api
from protocol.addresses import Address
from protocol.errors import CoveyError, LoginNeeded, LoginRefused, SessionExpired
from protocol.join_link import bracketed
from protocol.keys import PublicKey
from protocol.version import VERSION

NOT_UP = Verdict("checking", "The tunnel is being set up.")
NOWHERE: api.Ends = {"local": "", "remote": ""}
PEER_STATUS = {
    State.IDLE: "Idle",
    State.CALLING: "Connecting",
    State.CHECKING: "Connecting",
    State.SHAKING_HANDS: "Connecting",
    State.CONNECTED: "Connected",
}
CLOCK_SET = 0.5  # seconds


class Epoch:
    """What turns the loop's clock into seconds since 1970: the same each time, so that what did not change is told alike."""

    def __init__(self) -> None:
        self._begun = float("-inf")

    def begun(self, now: float, wall: float) -> float:
        """When the loop's clock was 0. Another only when the wall clock is off by more than CLOCK_SET, at once or bit by bit."""
        if abs(wall - now - self._begun) > CLOCK_SET:
            self._begun = wall - now
        return self._begun


def status_document(
    settings: Settings,
    own: PublicKey,
    session: Session | None,
    error: CoveyError | None,
    notes: list[str],
    profile: str,
    epoch: Epoch,
) -> api.StatusDocument:
    """Put the document together; without a session it says what is known."""
    now = get_running_loop().time()
    wall = epoch.begun(now, time.time())
    if session and session.plan.lease.has_ended(time.time(), session.management.link.is_up):
        error = SessionExpired("The session has ended; you have to sign in again.")
    parts = session.parts if session else None
    peers = [_peer(runner, session, now, wall) for runner in session.peers.values()] if session else []
    peers.sort(key=lambda peer: (peer["fqdn"], peer["publicKey"]))
    return {
        "daemonVersion": VERSION,
        "daemonStatus": _daemon_status(session, error),
        "error": _error(error),
        "notes": list(notes),
        "warnings": [_warning(one) for one in session.warnings.all()] if session else [],
        "management": _link(
            session.management.link if session else None, settings.server.url if settings.server else "", now, wall
        ),
        "signal": _link(session.signalling.link if session else None, "", now, wall),
        "stun": _stun(parts.network if parts else None, wall),
        "relays": _relays(parts.relay if parts else None, wall),
        "ip": str(session.management.address) if session else "",
        "publicKey": own.text,
        "fqdn": session.fqdn if session else "",
        "profile": profile,
        "email": settings.email,
        "sessionExpiresAt": iso(settings.session_ends or 0),
        "interface": parts.device.name if parts else "",
        "usesKernelInterface": parts.device.is_kernel if parts else False,
        "wireguardPort": parts.device.port if parts else settings.wireguard_port,
        "networkMapSaved": bool(session and session.management.map_is_saved),
        "networkMapAge": int(session.management.map_age) if session else 0,
        "candidates": [str(candidate) for candidate in parts.network.view.candidates] if parts else [],
        "portMapping": parts.port_mapping.status() if parts else None,
        "networks": _networks(session) if session else [],
        "peers": {
            "total": len(peers),
            "connected": sum(peer["status"] == "Connected" for peer in peers),
            "details": peers,
        },
    }


def _networks(session: Session) -> list[api.OfferedNetworkStatus]:
    if session.management.map is None:
        return []
    names = {key.text: runner.remote.fqdn for key, runner in session.peers.items()}
    return [
        {
            "name": one.name,
            "network": one.network,
            "domains": list(one.domains),
            "peer": names.get(one.peer) or one.peer[:8],
            "used": False,
        }
        for one in session.management.map.networks
    ]


def _warning(warning: Warning) -> api.WarningBody:
    return {"code": warning.code, "sentence": warning.sentence, "next": warning.next, "since": iso(warning.since)}


def _daemon_status(session: Session | None, error: CoveyError | None) -> str:
    if isinstance(error, LoginNeeded):
        return "NeedsLogin"
    if isinstance(error, LoginRefused):
        return "LoginFailed"
    if session is None:
        return "Idle"
    return "Connected" if session.management.link.is_up and session.signalling.link.is_up and session.parts else "Connecting"


def _error(error: CoveyError | None) -> api.ErrorBody | None:
    return {"code": error.code, "sentence": str(error), "hint": error.hint} if error else None


def _link(link: Link | None, url: str, now: float, wall: float) -> api.LinkStatus:
    if link is None:
        return {"url": url, "connected": False, "error": "", "since": ""}
    since = iso(wall + link.since) if link.since else ""
    return {"url": link.url or url, "connected": link.is_up, "error": str(link.error or ""), "since": since}


def _stun(network: LocalNetwork | None, wall: float) -> api.StunStatus:
    """Every server once, as the best of its addresses does."""
    servers = network.stun_health if network is not None else {}
    details = [_stun_server(host, port, known, wall) for (host, port), known in servers.items()]
    return {"total": len(details), "available": sum(detail["available"] for detail in details), "details": details}


def _stun_server(host: str, port: int, known: list[StunServer] | None, wall: float) -> api.StunServerStatus:
    unknown = StunServer(error="its name is not found" if known is None else "")
    best = max(known or (), key=lambda one: (one.is_available, one.error == SILENT, -(one.round_trip or 0.0)), default=unknown)
    return {
        "uri": f"stun:{bracketed(host)}:{port}",
        "available": best.is_available,
        "error": best.error,
        "since": iso(wall + best.since) if best.since is not None else "",
        "roundTrip": round((best.round_trip or 0.0) * 1000, 1) if best.is_available else 0.0,
    }


def _relays(relay: Relay | None, wall: float) -> api.RelaysStatus:
    """Every server once, the one in use first, by the way that works or else the preferred one."""
    used = relay.server if relay is not None and relay.relayed_address is not None else None
    found = sorted(relay.known, key=lambda known: known.way != used) if relay is not None else []
    details = [_relay(known, known.way == used, wall) for known in found]
    available = sum(detail["available"] for detail in details)
    error = str(relay.error or "") if relay is not None and used is None else ""
    return {"total": len(details), "available": available, "error": error, "details": details}


def _relay(known: Known, is_used: bool, wall: float) -> api.RelayStatus:
    way = known.way
    return {
        "uri": f"{'turns' if way.transport == 'tls' else 'turn'}:{bracketed(way.host)}:{way.port}",
        "available": known.is_available or is_used,
        "transport": way.transport if known.is_available or is_used else "",
        "error": "" if is_used else known.error,
        "since": iso(wall + known.since) if known.since else "",
        "roundTrip": round((known.round_trip or 0.0) * 1000, 1),
    }


def _peer(runner: PeerRunner, session: Session, now: float, wall: float) -> api.PeerStatus:
    connection, remote = runner.connection, runner.remote
    pair, counted = connection.path, connection.statistics
    is_connected = connection.state is State.CONNECTED
    said = session.parts.outlook.verdict(runner) if session.parts else NOT_UP
    relayed = bool(pair and pair.relays)
    kinds, endpoints = NOWHERE, NOWHERE
    if pair:
        kinds = {"local": _local_kind(pair, session), "remote": pair.remote.kind}
        endpoints = {"local": _local_endpoint(pair, session), "remote": str(pair.remote.address)}
    return {
        "fqdn": remote.fqdn,
        "ip": str(remote.ip),
        "publicKey": remote.key.text,
        "status": PEER_STATUS[connection.state],
        "connectionType": ("Relayed" if relayed else "P2P") if pair and is_connected else "-",
        "iceCandidateType": kinds,
        "iceCandidateEndpoint": endpoints,
        "relayAddress": _relay_address(pair) if pair and relayed else "",
        "lastWireguardHandshake": iso(counted.last_handshake if counted else 0),
        "transferReceived": counted.received if counted else 0,
        "transferSent": counted.sent if counted else 0,
        "latency": int((pair.round_trip or 0) * 1e9) if pair else 0,
        "lossPercent": round(pair.loss_percent, 1) if pair else 0.0,
        "pathSince": iso(wall + connection.path_since),
        "pathMtu": (session.parts.upkeep.mtus.mtu_of(remote.key) or 0) if session.parts else 0,
        "reason": "" if said.code == "direct" else said.sentence,
        "verdict": {"code": said.code, "sentence": said.sentence, "next": said.next},
    }


def _local_kind(pair: Pair, session: Session) -> str:
    """Which of our candidates the other side sees: what it saw us as says so."""
    if pair.base.is_relay:
        return "relay"
    if pair.mapped is None or pair.mapped.ip == pair.base.ip:
        return "host"
    known = {c.address: c.kind for c in session.parts.network.view.candidates} if session.parts else {}
    return known.get(pair.mapped, "prflx")


def _local_endpoint(pair: Pair, session: Session) -> str:
    if pair.base.relayed is not None:
        return str(pair.base.relayed)
    port = session.parts.device.port if session.parts else 0
    return str(pair.mapped or Address(pair.base.ip, port))


def _relay_address(pair: Pair) -> str:
    return str(pair.base.relayed or pair.remote.address)


def iso(seconds: float) -> str:
    """A time as text; NetBird's zero time for never."""
    if not seconds:
        return "0001-01-01T00:00:00Z"
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
