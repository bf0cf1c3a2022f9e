"""What this end knows of its own network and of each connection: its Report to a peer, and the Facts of a verdict."""

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from helper.diagnose.watch import NatWatch
from helper.engine.link import Link
from helper.engine.local_network import LocalNetwork
from helper.engine.network_map import read_address
from helper.engine.plan import Plan
from helper.engine.server_watch import ServerWatch
from helper.engine.verdict import Facts, Verdict, verdict
from helper.engine.warning_rules import Circumstances
from helper.ice.candidates import Candidate, is_routed
from helper.ice.pair import RETRY_EAGERLY, Pair
from helper.netmon.others import Others
from helper.netmon.others_linux import look
from helper.peer.connection import PeerConnection
from helper.peer.events import State
from helper.peer.messages import Goodbye
from helper.peer.report import MOST_PAIRS, Report
from helper.peer.runner import PeerRunner
from helper.relay.relay import Relay
from protocol.keys import PublicKey
from protocol.version import VERSION

HEARD_LATELY = 10.0, 100.0  # seconds: whoever does not answer is tried every few seconds, after five minutes each minute at least
JUDGE_EVERY = 0.5  # seconds
SYMMETRIC = "address-and-port-dependent"


class Outlook:
    """Attributes:
    others: what else runs on this machine, as last looked at.

    Args:
    streams: to management and signal; where one is up, TCP gets out.
    peers: all of them, as they come and go.
    let_out: called when somebody has signed in to the network that was in the way.
    """

    def __init__(
        self,
        network: LocalNetwork,
        relay: Relay,
        nat: NatWatch,
        plan: Plan,
        port: int,
        streams: tuple[Link, Link],
        peers: Mapping[PublicKey, PeerRunner],
        let_out: Callable[[], None],
    ) -> None:
        self._network, self._relay, self._nat, self._port = network, relay, nat, port
        self._plan, self._streams, self._peers = plan, streams, peers
        self._loop = asyncio.get_running_loop()
        self._overlay, self.others = read_address(plan.login.peerConfig).network, Others()
        self._server = ServerWatch(plan.server, streams[0], network, let_out)
        self._judged = -math.inf, False
        self._began = self._relay_lost = self._loop.time()

    def report(self, connection: PeerConnection) -> Report:
        """What we tell the other end of this connection."""
        now, direct = self._loop.time(), _direct(connection)
        relay = self._relay
        return Report(
            nat_mapping=self._mapping(connection),
            nat_filtering=_known(self._nat.kind.filtering),
            udp_blocked=self.is_udp_blocked,
            relay=relay.transport or "" if relay.relayed_address is not None else "",
            in_other_vpn=bool(self.others.other_vpn),
            port_mapped=self._network.is_forwarded,
            has_ipv6=any(base.ip.version == 6 and is_routed(base.ip) for base in self._network.view.bases if not base.is_relay),
            hides_addresses=bool(self._plan.preferences["interface_blacklist"]),
            version=VERSION,
            wireguard_port=self._port,
            answering=min(MOST_PAIRS, sum(pair.is_valid for pair in direct)),
            hears=_hears(connection, direct, now),
            path=_kind(connection.path),
        )

    def verdict(self, runner: PeerRunner) -> Verdict:
        """What to say of this connection now."""
        return verdict(self.report(runner.connection), runner.correspondence.theirs, self.facts(runner))

    def facts(self, runner: PeerRunner) -> Facts:
        """What is known of a connection apart from the reports."""
        connection, now = runner.connection, self._loop.time()
        pairs, direct = connection.session.agent.pairs.values(), _direct(connection)
        remotes = {pair.remote.address: pair.remote for pair in pairs if pair.remote.kind != "relay"}.values()
        answering = [now - pair.valid_since for pair in direct if pair.valid_since is not None]
        farewell = connection.other.farewell
        return Facts(
            name=_name(runner),
            state=connection.state,
            path=_kind(connection.path),
            age=now - connection.path_since,
            has_network=self.has_network,
            signal_up=self._streams[1].is_up,
            farewell="" if farewell is None else "offline" if isinstance(farewell, Goodbye) else "idle",
            without_ice=connection.other.without_ice,
            pairs=len(pairs),
            direct_pairs=len(direct),
            answering_for=max(answering, default=0.0),
            symmetric_there=any(remote.kind == "prflx" and is_routed(remote.address.ip) for remote in remotes),
            hidden_there=not any(remote.kind == "srflx" or is_routed(remote.address.ip) for remote in remotes),
            same_public_address=self._is_neighbour(remotes),
            clock_ahead=runner.correspondence.clock_ahead,
            relay_error=str(self._relay.error or ""),
        )

    def look_at_server(self) -> None:
        """Begin to see what is behind a trouble with the server, if there is one."""
        self._server.look(time.time())

    async def look_around(self) -> None:
        """See what else runs on this machine. Raises OSError."""
        self.others = await look(self._plan.name, self._overlay, self._network.snapshot)

    def circumstances(self) -> Circumstances:
        """How things are, for the warnings."""
        now, (management, signal) = self._loop.time(), self._streams
        states = [runner.connection for runner in self._peers.values()]
        if self._relay.relayed_address is not None or self._relay.error is None:
            self._relay_lost = now  # its own since is of the last attempt
        ends = self._plan.lease.ends
        management_down = self._down(management.is_up, management.since, now)
        return Circumstances(
            has_network=self.has_network,
            management_down=management_down,
            map_age=self._plan.map_age.age(now, time.time()) if self._peers and not management.is_up else None,
            map_limit=self._plan.preferences["saved_map_days"] if self._plan.map_age.is_refused else 0,
            signal_down=self._down(signal.is_up, signal.since, now),
            relay_down=now - self._relay_lost,
            udp_blocked=self.is_udp_blocked,
            clocks=tuple(
                (_name(runner), runner.correspondence.clock_ahead)
                for runner in self._peers.values()
                if runner.correspondence.theirs is not None and runner.connection.state is not State.CALLING
            ),
            others=self.others,
            overlay=str(self._overlay),
            port=self._port,
            displaced=self._plan.displaced,
            needs_paths=any(one.path is None or one.path.relays for one in states),
            session_ends_in=None if ends is None else ends - time.time(),
            has_portal=self._server.has_portal,
            server_clock=self._server.clock_ahead,
            certificate=self._server.ends_soon(time.time()),
        )

    @property
    def has_network(self) -> bool:
        """There is an address that others may reach, or at least a server is."""
        return any(not base.is_relay for base in self._network.view.bases) or any(one.is_up for one in self._streams)

    def _down(self, is_up: bool, since: float, now: float) -> float:
        return 0.0 if is_up else now - max(since, self._began)

    @property
    def is_udp_blocked(self) -> bool:
        """This network lets no UDP out: TCP reaches servers that UDP does not, and no peer answers by UDP either."""
        now = self._loop.time()
        if now - self._judged[0] > JUDGE_EVERY:  # it looks at all peers, and each peer's verdict asks for it
            self._judged = now, self._lets_no_udp_out()
        return self._judged[1]

    def _lets_no_udp_out(self) -> bool:
        if self._network.gatherer.mapped or self._relay.transport == "udp":
            return False
        tcp_only = self._network.gatherer.servers_silent and any(stream.is_up for stream in self._streams)
        if not tcp_only and self._relay.transport is None:
            return False
        return not any(_passes_udp(runner.connection.path) for runner in self._peers.values())

    def _mapping(self, connection: PeerConnection) -> str:
        """What the NAT was found to do; where that is not known, how the other side sees us may show that it is symmetric."""
        if self._nat.kind.mapping != "unknown":
            return self._nat.kind.mapping
        pairs = connection.session.agent.pairs.values()
        seen = {pair.mapped for pair in pairs if not pair.base.is_relay and pair.mapped and is_routed(pair.mapped.ip)}
        known = {c.address for c in self._network.view.candidates}
        return SYMMETRIC if any(address not in known for address in seen) else ""

    def _is_neighbour(self, remotes: Iterable[Candidate]) -> bool:
        """Both of us are seen at one public address, which is neither's own."""
        ours = {mapped.ip for base, mapped in self._network.gatherer.mapped.items() if mapped.ip != base.ip}
        return any(remote.kind == "srflx" and remote.address.ip in ours for remote in remotes)


def _name(runner: PeerRunner) -> str:
    return runner.remote.fqdn.partition(".")[0] or "the peer"


def _direct(connection: PeerConnection) -> list[Pair]:
    return [pair for pair in connection.session.agent.pairs.values() if not pair.relays]


def _known(behaviour: str) -> str:
    return "" if behaviour == "unknown" else behaviour


def _hears(connection: PeerConnection, direct: Iterable[Pair], now: float) -> bool:
    """The other side's checks reach us directly. A direct path that works says so by itself, however seldom it is checked."""
    lately = HEARD_LATELY[now - connection.path_since > RETRY_EAGERLY]
    return _kind(connection.path) == "direct" or any(now - pair.asked_at < lately for pair in direct)


def _kind(path: Pair | None) -> Literal["", "direct", "relayed"]:
    return "" if path is None else "relayed" if path.relays else "direct"


def _passes_udp(path: Pair | None) -> bool:
    return path is not None and not path.base.is_relay and is_routed(path.remote.address.ip)
