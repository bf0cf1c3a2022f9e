"""One time of being up: the WireGuard device, the peers, and the streams to the servers, from `up` to `down`.

What the servers say is turned into what should be; the difference to what is there is applied. A lost stream changes
nothing about the tunnels: it is supervised by itself and comes back.
"""

import asyncio
import logging
import secrets
from dataclasses import dataclass

from helper.clients.management import ManagementClient
from helper.clients.signal import signal_location
from helper.diagnose.watch import NatWatch
from helper.engine.aside import aside
from helper.engine.comeback import Comeback
from helper.engine.counters import Counters
from helper.engine.failure import first_of
from helper.engine.local_network import LocalNetwork
from helper.engine.local_notes import LocalNotes
from helper.engine.management import Management
from helper.engine.network_map import NetworkMap, RemotePeer, changes
from helper.engine.outlook import Outlook
from helper.engine.plan import Callbacks, Plan
from helper.engine.servers import read_stun_servers, read_turn_servers
from helper.engine.signalling import Signalling
from helper.engine.upkeep import Upkeep
from helper.engine.warning_watch import WarningWatch
from helper.engine.watch_end import watch_end
from helper.http_proxy.way import WAY_OUT
from helper.ice.agent import SendStun
from helper.ice.mux import Mux
from helper.ledger.ledger import Ledger
from helper.netmon.linux import take_snapshot
from helper.netmon.monitor import watch
from helper.netmon.snapshot import Snapshot
from helper.netmon.wakefulness import HeldUp, Woke
from helper.peer.events import Doubted, LocalChanged, SignalChanged, Signalled
from helper.peer.lobby import open_lobby
from helper.peer.messages import SignalMessage
from helper.peer.runner import PeerRunner, Surroundings
from helper.peer.ways import Port
from helper.port_mapping.port_mapping import PortMapping
from helper.relay.relay import Relay
from helper.tap.tap import Tap, open_tap
from helper.warnings import Warnings
from helper.wireguard.device import Device, DeviceSettings, open_device
from protocol.addresses import Address, IPAddress
from protocol.errors import CoveyError
from protocol.generated.management_pb2 import NetbirdConfig
from protocol.join_link import ServerLocation
from protocol.keys import PublicKey

log = logging.getLogger(__name__)

LAZY_FROM = 100  # peers: with more, only those that something is sent to hold a connection
TIDY = 60.0  # seconds between two looks at who may send to us by the relay
PROOF = 3.0  # seconds that a stream in doubt has to prove itself


@dataclass(slots=True)
class _Parts:
    """What exists only while the device is up."""

    device: Device
    tap: Tap
    relay: Relay
    network: LocalNetwork
    around: Surroundings
    outlook: Outlook
    upkeep: Upkeep
    port_mapping: PortMapping
    warnings: WarningWatch
    counters: Counters


class Session:
    """Runs until cancelled, or until it raises AddressChanged, LoginNeeded, LoginRefused or what stopped the device."""

    def __init__(self, plan: Plan, client: ManagementClient, ledger: Ledger, callbacks: Callbacks) -> None:
        self.plan, self._ledger, self._callbacks = plan, ledger, callbacks
        self.fqdn = plan.login.peerConfig.fqdn
        self.recorder, self.warnings = callbacks.recorder, Warnings(callbacks.on_change, callbacks.recorder)
        self.management = Management(plan, client, callbacks, self._configure, self._apply, self._management_changed)
        self.signalling = Signalling(
            plan.private_key, self._signal_location, self._on_signal, self._signal_changed, self.recorder
        )
        self._comeback = Comeback()
        self._comeback.join(lambda: self.management.link.is_up, self.management.retry)
        self._comeback.join(lambda: self.signalling.link.is_up, self.signalling.retry)
        self.peers: dict[PublicKey, PeerRunner] = {}
        self.nat = NatWatch(self._stun_servers, self._own_addresses, self.recorder, callbacks.on_change)
        self.parts: _Parts | None = None
        self.was_up = False  # the device has been up
        self.connected = asyncio.Event()  # management and signal have both been up once
        self._loop = asyncio.get_running_loop()
        self._mux, self._notes, self._links = Mux(), LocalNotes(self.recorder), (self.management.link, self.signalling.link)
        self._lazy = False  # peers are connected only while there is traffic
        self._device_id = secrets.token_bytes(8)

    async def run(self) -> None:
        """Bring everything up and keep it so."""
        plan = self.plan
        settings = DeviceSettings(
            plan.name, plan.private_key, plan.port, (self.management.address,), plan.mtu, backend=plan.backend
        )
        async with open_device(settings, self._ledger) as device:
            with open_tap(device.port, self._mux.on_tap) as tap, open_lobby(device.port) as lobby:
                relay = Relay(
                    wireguard_port=device.port, on_stun=self._on_relay_stun, on_change=self._local_changed, inject=tap.inject
                )
                self._comeback.join(lambda: relay.relayed_address is not None, relay.retry)
                network = LocalNetwork(self._mux, self._send_stun, relay, device.port, self._device_id, self._local_changed)
                self._comeback.also(back=network.ask_silent, gone=network.prove_servers)
                self._comeback.also(back=relay.prove, gone=relay.prove)
                outlook = Outlook(network, relay, self.nat, plan, device.port, self._links, self.peers, self._find_anew)
                around = Surroundings(
                    private_key=plan.private_key,
                    device=device,
                    relay=relay,
                    mux=self._mux,
                    lobby=lobby,
                    keepalive=plan.keepalive,
                    send_stun=self._send_stun,
                    send_signal=self.signalling.send,
                    source_for=network.source_for,
                    on_change=self._peer_changed,
                    recorder=self.recorder,
                    report=outlook.report,
                    port=Port(device.port, tap.inject),
                )
                upkeep = Upkeep(
                    device,
                    self.management.address,
                    plan.mtu,
                    self.peers,
                    self._mux,
                    tap,
                    relay,
                    self._ledger,
                    self.recorder,
                    self.warnings,
                )
                mapping = PortMapping(
                    device.port,
                    self._ledger,
                    self.recorder,
                    network.set_mapped,
                    self._callbacks.on_change,
                    enabled=not plan.preferences["disable_port_mapping"],
                )
                watching = WarningWatch(outlook, self.warnings)
                self.parts = _Parts(
                    device, tap, relay, network, around, outlook, upkeep, mapping, watching, Counters(device, self.peers)
                )
                self.was_up = True
                snapshot = await take_snapshot(plan.hidden_interfaces)
                network.set_snapshot(snapshot)
                mapping.network_changed(snapshot)
                self._configure(plan.login.netbirdConfig)
                plan.sessions.begin(self.peers)
                if plan.saved_map is not None:
                    self.management.use_saved_map(plan.saved_map)
                self._callbacks.on_change()
                self._notes.up(device, self.management.address)
                try:
                    await self._run_tasks(self.parts)
                finally:
                    plan.sessions.end()
                    self._comeback.close()
                    await asyncio.gather(mapping.close(), *(runner.close() for runner in self.peers.values()))
                    self.peers.clear()
                    network.close()
                    self.parts = None
                    self._notes.down()

    async def _run_tasks(self, parts: _Parts) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.management.run(), name="management")
                group.create_task(self._watch_end(), name="session end")
                group.create_task(self.signalling.run(), name="signal")
                group.create_task(parts.relay.run(), name="relay")
                group.create_task(aside(parts.relay.ask_others, "relays not in use"), name="relays not in use")
                group.create_task(aside(parts.port_mapping.run, "port mapping"), name="port mapping")
                group.create_task(parts.counters.run(), name="statistics")
                group.create_task(self._watch_network(parts), name="network monitor")
                group.create_task(self._watch_device(parts.device), name="device watch")
                group.create_task(aside(self.nat.run, "kind of NAT"), name="kind of NAT")
                group.create_task(aside(parts.warnings.run, "warnings"), name="warnings")
                group.create_task(self._tidy_permissions(parts.relay), name="permissions")
                group.create_task(parts.upkeep.run(), name="upkeep")
        except BaseExceptionGroup as errors:
            raise first_of(errors) from None  # the first failure ended the rest

    async def say_goodbye(self) -> None:
        """Tell the peers that the tunnel goes down, so that their status is true at once."""
        is_told = self.signalling.link.is_up
        await self.signalling.farewell([(key, runner.connection.goodbye) for key, runner in self.peers.items()])
        if is_told:
            self.plan.sessions.forget()

    async def close(self) -> None:
        """Close the connection to management."""
        await self.management.close()

    def _signal_location(self) -> ServerLocation:
        return signal_location(self.management.login.netbirdConfig, self.plan.server)

    async def _watch_end(self) -> None:
        management = self.management
        await watch_end(self.plan.lease, management.link, management.ask_again, self._callbacks.on_change)

    def _stun_servers(self) -> tuple[Address, ...]:
        return self.parts.network.stun_servers if self.parts else ()

    def _own_addresses(self) -> frozenset[IPAddress]:
        snapshot = self.parts.network.snapshot if self.parts else None
        return frozenset(address.ip for address in snapshot.addresses) if snapshot else frozenset()

    async def _watch_network(self, parts: _Parts) -> None:
        await watch(self.plan.hidden_interfaces, self._network_changed, known=parts.network.snapshot)

    async def _watch_device(self, device: Device) -> None:
        reason = await device.wait_lost()
        raise CoveyError(f"the interface {device.name} was lost: {reason}", "It is set up again by itself.")

    # ---- what management says

    def _management_changed(self) -> None:
        self._announce()
        self._callbacks.on_change()

    def _apply(self, before: NetworkMap | None, new: NetworkMap) -> None:
        """Make the peers what the map says; those that are the same are not touched."""
        assert self.parts is not None
        self.fqdn = new.fqdn or self.fqdn
        gone, added, renamed = changes(before.peers if before else {}, new.peers)
        self._comeback.share_with(1 + len(new.peers))
        self._set_lazy(self.plan.preferences["lazy_connections"] or new.wants_lazy or len(new.peers) >= LAZY_FROM)
        for key in gone:
            self._remove_peer(key)
        for remote in added:
            self._add_peer(remote, self.parts)
        for remote in renamed:
            self.peers[remote.key].remote = remote
        if gone or added:
            log.info("network map %d: %d peers (%d new, %d gone)", new.serial, len(new.peers), len(added), len(gone))
        self._callbacks.on_change()

    def _set_lazy(self, lazy: bool) -> None:
        if lazy != self._lazy:
            self._lazy = lazy
            for runner in self.peers.values():
                runner.set_lazy(lazy)

    def _add_peer(self, remote: RemotePeer, parts: _Parts) -> None:
        resumed = self.plan.sessions.take(remote.key)
        self.peers[remote.key] = PeerRunner(
            remote, parts.around, parts.network.view, signal_up=self.signalling.link.is_up, lazy=self._lazy, resumed=resumed
        )

    def _remove_peer(self, key: PublicKey) -> None:
        runner, parts = self.peers.pop(key), self.parts
        assert parts is not None
        parts.network.spawn(runner.close())
        parts.counters.wake()  # which takes it out of WireGuard

    def _configure(self, config: NetbirdConfig) -> None:
        """Take up what the server says about STUN and TURN; an empty list leaves things as they are."""
        assert self.parts is not None
        server = self.plan.server
        if stun := read_stun_servers(config):
            self.parts.network.set_stun_servers(stun)
        if turn := read_turn_servers(config):
            self.parts.relay.configure(turn, server.fingerprint)

    # ---- signal

    def _signal_changed(self, is_up: bool) -> None:
        for runner in list(self.peers.values()):
            runner.handle(SignalChanged(is_up))
        self._announce()
        self._callbacks.on_change()

    def _on_signal(self, sender: PublicKey, message: SignalMessage) -> None:
        runner = self.peers.get(sender)
        if runner is None:
            log.debug("a signal message from %s, who is not in our map", sender.short)
        else:
            runner.handle(Signalled(message))

    def _announce(self) -> None:
        self._comeback.look()
        management = self.management
        if management.link.is_up and self.signalling.link.is_up and management.map is not None and not management.map_is_saved:
            self.connected.set()
        else:
            self.connected.clear()

    # ---- STUN, paths, counters

    def _send_stun(self, action: SendStun) -> None:
        parts = self.parts
        if parts is None:
            return
        if action.base.is_relay:
            if action.base.relayed == parts.relay.relayed_address:
                parts.relay.send_stun(action.data, action.destination)
            return
        try:
            parts.tap.send(action.data, action.base.ip, action.destination)
        except OSError as error:  # a failed check, no more
            log.debug("STUN to %s not sent: %s", action.destination, error)

    def _on_relay_stun(self, data: bytes, peer: Address) -> None:
        relayed = self.parts.relay.relayed_address if self.parts else None
        if relayed is not None:
            self._mux.on_relay(data, peer, relayed)

    def _local_changed(self, moved: bool = False) -> None:
        """Candidates or the relay changed: every peer wants to know."""
        if self.parts is None:
            return
        if moved:
            self.parts.port_mapping.look()
        event = LocalChanged(self.parts.network.refresh(), moved)
        if moved:
            self.nat.network_changed()
        self._comeback.look()
        self._notes.look(event.view, self.parts.relay)
        for runner in list(self.peers.values()):
            runner.handle(event)
        self._callbacks.on_change()

    def _network_changed(self, snapshot: Snapshot) -> None:
        assert self.parts is not None
        log.info("the network changed: %s", ", ".join(sorted(str(address.ip) for address in snapshot.addresses)) or "no address")
        self._notes.network(self.parts.network.snapshot, snapshot)
        self.parts.port_mapping.network_changed(snapshot)
        before = self.parts.network.snapshot
        if self.parts.network.set_snapshot(snapshot):
            self._moved(self.parts, 0.0 if before and before.addresses - snapshot.addresses else PROOF)

    def _moved(self, parts: _Parts, proof: float = PROOF) -> None:
        """What was true of the network before may be so no more. `proof`: see `_prove_streams`."""
        WAY_OUT.network_changed()
        parts.relay.network_changed()
        self._local_changed(moved=True)
        self._prove_streams(parts, proof)

    def _find_anew(self) -> None:
        """As on another network, although it looks the same."""
        if self.parts is not None:
            self.parts.network.gather_afresh()
            self._moved(self.parts)

    def _prove_streams(self, parts: _Parts, within: float = PROOF) -> None:
        """Open anew what gives no proof within so many seconds: none at all, where the address went that it spoke from."""
        self.signalling.check(within)
        parts.network.spawn(self.management.check(within))

    def woke(self, sign: Woke | HeldUp) -> None:
        """After a sleep everything is found anew, as on another network; whoever was only held up looks what still holds."""
        parts = self.parts
        if parts is None:
            return
        if isinstance(sign, Woke):
            for runner in self.peers.values():
                runner.slept(sign.slept)
            self._find_anew()
            return
        for runner in list(self.peers.values()):
            runner.handle(Doubted())
        parts.relay.check()
        self._prove_streams(parts)

    def _peer_changed(self) -> None:
        if self.parts is not None:
            self.parts.counters.wake()
            self.parts.upkeep.look()
        self.plan.sessions.look()
        self._callbacks.on_change()

    async def _tidy_permissions(self, relay: Relay) -> None:
        """Take back what peers that left, and former candidates, may still do at our relay."""
        while True:
            await asyncio.sleep(TIDY)
            wanted = {ip for runner in self.peers.values() for ip in runner.connection.sessions.relay_peers}
            for ip in relay.permitted - wanted:
                relay.forget(ip)

    async def refresh(self) -> None:
        """Take in WireGuard's counters now, if it answers soon."""
        if self.parts is not None:
            await self.parts.counters.refresh()
