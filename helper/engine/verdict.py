"""Why a peer is relayed or not connected: one sentence, from what this side knows. Pure."""

from helper.engine.session import Session
from helper.ice.candidates import is_routed
from helper.peer.events import State
from helper.peer.messages import GoIdle, Goodbye
from helper.peer.runner import PeerRunner


def reason(runner: PeerRunner, session: Session, now: float) -> str:
    """One sentence, empty for a peer that is connected directly."""
    connection = runner.connection
    match connection.state:
        case State.CONNECTED | State.SHAKING_HANDS if connection.path is not None and connection.path.relays:
            return _why_relayed(runner, session)
        case State.CONNECTED:
            return ""
        case State.SHAKING_HANDS:
            return "A path is open, but WireGuard's handshake has not come through yet."
        case State.CHECKING:
            return _why_checking(runner, session)
        case _:
            return _why_calling(runner, session)


def _why_calling(runner: PeerRunner, session: Session) -> str:
    if runner.connection.without_ice:
        return "The peer does without direct connections and asks for a relay of a kind that Covey does not speak."
    if not session.signalling.link.is_up:
        return "The signal server can't be reached, so the peer can't be called."
    if runner.connection.farewell is not None:
        return _why_left(runner.connection.farewell, runner.remote.fqdn.partition(".")[0] or "The peer")
    return "The peer does not answer our calls: it is off, offline or not running Covey."


def _why_left(farewell: Goodbye | GoIdle, name: str) -> str:
    if isinstance(farewell, Goodbye):
        return f"{name} went offline and said so; it is connected again as soon as it is back."
    return f"{name} closed the connection because there was no traffic; it is being called back."


def _why_checking(runner: PeerRunner, session: Session) -> str:
    agent = runner.connection.session.agent
    if not session.parts or not session.parts.network.view.bases:
        return "This machine has no network."
    tried = f"None of {len(agent.pairs)} candidate pairs answers yet"
    relay = session.parts.relay
    if relay.relayed_address is not None:
        return f"{tried}."
    return f"{tried}, and no relay can be reached{f' ({relay.error})' if relay.error else ''}."


def _why_relayed(runner: PeerRunner, session: Session) -> str:
    parts = session.parts
    if parts is None:
        return "Relayed."
    gatherer, relay = parts.network.gatherer, parts.relay
    if gatherer.servers_silent or (relay.transport not in (None, "udp") and not gatherer.mapped):
        return "Relayed because this network lets no UDP out; only TCP reaches the relay."
    pairs = runner.connection.session.agent.pairs.values()
    remotes = {pair.remote.address: pair.remote for pair in pairs if pair.remote.kind != "relay"}
    if not any(candidate.kind in ("srflx", "prflx") or is_routed(candidate.address.ip) for candidate in remotes.values()):
        return "Relayed because the peer knows no public address of its own; UDP may be blocked on its side."
    ours_differ = any(pair.mapped and pair.mapped not in gatherer.mapped.values() for pair in pairs if not pair.base.is_relay)
    theirs_differ = any(candidate.kind == "prflx" for candidate in remotes.values())
    if ours_differ or theirs_differ:
        side = "both sides are" if ours_differ and theirs_differ else "this side is" if ours_differ else "the peer is"
        return f"Relayed because {side} behind a NAT that uses another port for each destination (symmetric)."
    direct = sum(not pair.relays for pair in pairs)
    return f"Relayed because none of {direct} direct candidate pairs answers; they are tried on."
