"""How this machine can be reached now: addresses, what they look like from outside, the relayed address.

Turns the network snapshot, the STUN servers and the relay into the one LocalView that all peers share.
"""

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from aioice import stun

from helper.ice.agent import SendStun
from helper.ice.candidates import Base, Candidate, make_candidate
from helper.ice.gather import Gatherer
from helper.ice.mux import Mux
from helper.ice.stun_health import StunServer
from helper.names import look_up
from helper.netmon.snapshot import Snapshot
from helper.peer.events import LocalView
from helper.relay.relay import Relay
from protocol.addresses import Address, IPAddress

log = logging.getLogger(__name__)

RESOLVE_TIMEOUT = 5.0  # seconds
RESOLVE_AGAIN = 60.0


def source_for(destination: IPAddress) -> IPAddress | None:
    """Which of our addresses routing chooses towards this one; None where there is no route."""
    family = socket.AF_INET6 if destination.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(destination), 9))
            return ipaddress.ip_address(probe.getsockname()[0])
    except (OSError, ValueError):  # no route, or a machine without IPv6
        return None


class LocalNetwork:
    """Gathers for all peers. `view` is the newest; `on_change` is called when STUN taught us something new."""

    def __init__(
        self,
        mux: Mux,
        send_stun: Callable[[SendStun], None],
        relay: Relay,
        port: int,
        device: bytes,
        on_change: Callable[[bool], None],
    ) -> None:
        self._mux, self._send_stun, self._relay, self._port, self._device = mux, send_stun, relay, port, device
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._servers: tuple[tuple[str, int], ...] = ()
        self._resolved: tuple[Address, ...] = ()
        self._unresolved: frozenset[tuple[str, int]] = frozenset()
        self._addresses: dict[tuple[str, int], tuple[Address, ...]] = {}
        self._bases: set[Base] = set()
        self._forwarded: dict[IPAddress, Address] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._resolving: asyncio.Task[None] | None = None
        self._sources: dict[IPAddress, tuple[IPAddress | None, float]] = {}
        self.gatherer = Gatherer()
        self.snapshot: Snapshot | None = None
        self.view = self.refresh()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something that belongs to this network's lifetime."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()

    def source_for(self, destination: IPAddress) -> IPAddress | None:
        """As the module's function, remembered for a second: one peer's candidates are asked about again and again."""
        now = self._loop.time()
        known = self._sources.get(destination)
        if known is None or now - known[1] > 1.0:
            if len(self._sources) > 4096:
                self._sources.clear()
            known = self._sources[destination] = source_for(destination), now
        return known[0]

    def set_snapshot(self, snapshot: Snapshot) -> bool:
        """Take up a new look at the network; True if the peers must find new paths."""
        moved = self.snapshot is not None and snapshot != self.snapshot
        self.snapshot = snapshot
        self._sources.clear()
        self._bases = {Base(address.ip) for address in snapshot.addresses}
        self._gather(afresh=moved)
        self.view = self.refresh()
        return moved

    @property
    def stun_servers(self) -> tuple[Address, ...]:
        """Those whose addresses are known."""
        return self._resolved

    @property
    def stun_health(self) -> dict[tuple[str, int], list[StunServer] | None]:
        """What is known of each server's addresses, by host and port; None for a name that leads nowhere."""
        known = self.gatherer.health.servers
        return {
            server: None
            if server in self._unresolved
            else [known[one] for one in self._addresses.get(server, ()) if one in known]
            for server in self._servers
        }

    def gather_afresh(self) -> None:
        """Ask all STUN servers anew: what they said may be over, although the network looks the same."""
        self._sources.clear()
        self._gather(afresh=True)

    def ask_silent(self) -> None:
        """Ask the STUN servers that do not answer: another of our servers is back."""
        self.gatherer.hurry(self._loop.time())
        self._advance()

    def prove_servers(self) -> None:
        """Ask the STUN servers that did answer: another of our servers is gone."""
        self.gatherer.prove(self._loop.time())
        self._advance()

    def set_stun_servers(self, servers: tuple[tuple[str, int], ...]) -> None:
        """Hosts and ports; names are looked up."""
        if servers == self._servers:
            return
        self._servers = servers
        self._addresses = {(host, port): (address,) for host, port in servers if (address := _literal(host, port))}
        self._unresolved = frozenset()
        self._resolved = tuple(address for addresses in self._addresses.values() for address in addresses)
        self._gather()
        if self._resolving is not None:
            self._resolving.cancel()
        self._resolving = self.spawn(self._resolve()) if len(self._resolved) < len(servers) else None

    @property
    def is_forwarded(self) -> bool:
        """A router forwards WireGuard's port to us."""
        return bool(self._forwarded)

    def set_mapped(self, base: IPAddress, mapped: Address | None) -> None:
        """Take up what a router forwards to our port at this address; None for nothing any more."""
        if mapped is None:
            self._forwarded.pop(base, None)
        else:
            self._forwarded[base] = mapped
        self._on_change(False)

    def refresh(self) -> LocalView:
        """Make the view anew from what is known."""
        bases = set(self._bases)
        candidates: dict[Address, Candidate] = {}
        for base in sorted(self._bases, key=lambda base: (base.ip.version == 4, str(base.ip))):
            host = Address(base.ip, self._port)
            candidates[host] = make_candidate("host", host)
        for base, mapped in self.gatherer.mapped.items():
            candidates.setdefault(mapped, make_candidate("srflx", mapped, Address(base.ip, self._port)))
        for ip, mapped in self._forwarded.items():
            if Base(ip) in self._bases:
                candidates.setdefault(mapped, make_candidate("srflx", mapped, Address(ip, self._port)))
        relayed = self._relay.relayed_address
        if relayed is not None:
            bases.add(Base(relayed.ip, relayed))
            candidates[relayed] = make_candidate("relay", relayed, self._relay.mapped_address)
        self.view = LocalView(frozenset(bases), tuple(candidates.values()), self._port, self._device)
        return self.view

    def _gather(self, *, afresh: bool = False) -> None:
        now = self._loop.time()
        routed = {base for base in self._bases if any(self.source_for(server.ip) == base.ip for server in self._resolved)}
        self.gatherer.configure(routed, self._resolved, now, afresh=afresh)
        self._advance()

    async def _resolve(self) -> None:
        """Look the servers' names up until all are known."""
        while True:
            found: list[Address] = []
            unresolved = set[tuple[str, int]]()
            for host, port in self._servers:
                try:
                    async with asyncio.timeout(RESOLVE_TIMEOUT):
                        self._addresses[host, port] = tuple(Address(ip, port) for ip in await look_up(host))
                except (OSError, TimeoutError, ValueError) as error:
                    log.debug("STUN server %s: %s", host, error)
                    unresolved.add((host, port))
                found += self._addresses.get((host, port), ())  # of a name that is not found now: what it led to
            self._unresolved = frozenset(server for server in unresolved if server not in self._addresses)
            if tuple(found) != self._resolved and found:
                self._resolved = tuple(dict.fromkeys(found))
                self._gather()
            await asyncio.sleep(RESOLVE_AGAIN)

    def _advance(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for action in self.gatherer.advance(self._loop.time()):
            if action.transaction is not None:
                self._mux.expect(action.transaction, self._on_answer)
            self._send_stun(action)
        deadline = self.gatherer.deadline
        self._timer = self._loop.call_at(deadline, self._advance) if deadline != float("inf") else None

    def _on_answer(self, message: stun.Message, source: Address, base: Base) -> None:
        before = self.gatherer.mapped.get(base)
        if self.gatherer.receive(message, source, base, self._loop.time()):
            log.info("%s is seen as %s from outside", base.ip, self.gatherer.mapped[base])
            self._on_change(before is not None)
        self._advance()


def _literal(host: str, port: int) -> Address | None:
    try:
        return Address.of(host, port)
    except ValueError:
        return None
