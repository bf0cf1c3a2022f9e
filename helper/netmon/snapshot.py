"""What the network looks like from here, as values that can be compared. Pure."""

from dataclasses import dataclass

from protocol.addresses import IPAddress


@dataclass(frozen=True, slots=True, order=True)
class LocalAddress:
    """An address that others may reach us at: its interface is up with a carrier, and it is neither ours nor loopback."""

    interface: str
    ip: IPAddress
    prefix_length: int


@dataclass(frozen=True, slots=True)
class DefaultRoute:
    interface: str
    gateway: IPAddress | None
    metric: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Addresses and default routes, best route first; two equal snapshots mean that nothing we care about changed."""

    addresses: frozenset[LocalAddress]
    default_routes: tuple[DefaultRoute, ...]
