"""What the mapper is told, and what it wants done. Pure."""

from dataclasses import dataclass

from helper.port_mapping.gateway import Gateway
from helper.port_mapping.operations import Grant, MappingRefused, Method, Sight
from protocol.addresses import Address


@dataclass(frozen=True, slots=True)
class GatewayChanged:
    """`external_port`: the one that a mapping there has already; 0 for none."""

    gateway: Gateway | None
    external_port: int = 0
    method: Method | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """A probe or a look was answered."""

    method: Method
    sight: Sight


@dataclass(frozen=True, slots=True)
class Granted:
    method: Method
    grant: Grant


@dataclass(frozen=True, slots=True)
class Failed:
    """Whatever was asked last by this method failed: the router refused, or nobody answered (`error` is None)."""

    method: Method
    error: MappingRefused | None = None


@dataclass(frozen=True, slots=True)
class Hint:
    """Something else says that the router may have changed."""


@dataclass(frozen=True, slots=True)
class TimePassed:
    pass


@dataclass(frozen=True, slots=True)
class Probe:
    method: Method


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask for the mapping, or renew it. `lease` in seconds; 0 for ever."""

    method: Method
    external_port: int
    lease: int


@dataclass(frozen=True, slots=True)
class Look:
    method: Method
    external_port: int


@dataclass(frozen=True, slots=True)
class Offer:
    """What peers may send to, because this router forwards it to us; None for nothing."""

    gateway: Gateway
    address: Address | None


Event = GatewayChanged | Seen | Granted | Failed | Hint | TimePassed
Action = Probe | Ask | Look | Offer
