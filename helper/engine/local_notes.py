"""What the flight recorder hears of this machine's side of a session: the tunnel, the network, candidates, the relay."""

from ipaddress import IPv4Interface, IPv6Interface

from helper.netmon.difference import difference
from helper.netmon.snapshot import Snapshot
from helper.peer.events import LocalView
from helper.recorder import Recorder
from helper.relay.relay import Relay
from helper.wireguard.device import Device


class LocalNotes:
    """Notes the difference to the last look."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._candidates: frozenset[str] = frozenset()
        self._relayed = ""
        self._error = ""

    def up(self, device: Device, address: IPv4Interface | IPv6Interface) -> None:
        kind = "kernel WireGuard" if device.is_kernel else "wireguard-go"
        self._recorder.note(
            "session",
            f"The tunnel is up: {device.name} ({kind}) with {address.ip}, UDP port {device.port}.",
            interface=device.name,
            port=device.port,
        )

    def down(self) -> None:
        self._recorder.note("session", "The tunnel is down.")

    def network(self, before: Snapshot | None, now: Snapshot) -> None:
        routes = ", ".join(
            f"{route.interface} {route.gateway or ''} {route.metric}".replace("  ", " ") for route in now.default_routes
        )
        addresses = ", ".join(sorted(f"{one.interface} {one.ip}/{one.prefix_length}" for one in now.addresses))
        self._recorder.note("network", difference(before, now), addresses=addresses, defaultRoutes=routes)

    def look(self, view: LocalView, relay: Relay) -> None:
        self._look_at_relay(relay)
        candidates = frozenset(f"{one.kind} {one.address}" for one in view.candidates if one.kind != "relay")
        come, gone = sorted(candidates - self._candidates), sorted(self._candidates - candidates)
        if come or gone:
            parts = [f"{', '.join(come)} came"] * bool(come) + [f"{', '.join(gone)} went"] * bool(gone)
            self._recorder.note("candidates", f"This machine's candidates changed: {'; '.join(parts)}.", now=len(candidates))
        self._candidates = candidates

    def _look_at_relay(self, relay: Relay) -> None:
        relayed, error, server = str(relay.relayed_address or ""), str(relay.error or ""), relay.server
        where = f"{server.host}:{server.port}" if server else ""
        if relayed and relayed != self._relayed:
            self._recorder.note(
                "relay", f"The relay is ready: {where} over {(relay.transport or '').upper()}.", server=where, relayed=relayed
            )
        elif not relayed and self._relayed:
            self._recorder.note("relay", f"The relay was lost{f': {error}' if error else ''}.", server=where)
        elif not relayed and error and error != self._error:
            self._recorder.note("relay", f"No relay can be reached: {error}.", server=where)
        self._relayed, self._error = relayed, error
