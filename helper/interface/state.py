"""What IP knows of our interface, what it should know, and the difference. Pure.

Routes of ours carry a number of their own, so that nobody else's is ever touched. One that somebody else made to the same place
over our interface serves as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from protocol.addresses import IPInterface, IPNetwork


@dataclass(frozen=True, slots=True)
class Route:
    """A route over our interface. `mtu` 0: the interface's."""

    mtu: int = 0
    is_ours: bool = True


@dataclass(frozen=True, slots=True)
class InterfaceState:
    is_up: bool
    mtu: int
    addresses: frozenset[IPInterface]
    routes: Mapping[IPNetwork, Route] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SetUp:
    pass


@dataclass(frozen=True, slots=True)
class SetMtu:
    mtu: int


@dataclass(frozen=True, slots=True)
class AddAddress:
    address: IPInterface


@dataclass(frozen=True, slots=True)
class SetRoute:
    """`is_new`: there was none; else it replaces one of ours."""

    network: IPNetwork
    mtu: int
    is_new: bool


@dataclass(frozen=True, slots=True)
class RemoveRoute:
    network: IPNetwork


Step = SetUp | SetMtu | AddAddress | SetRoute | RemoveRoute


def wanted_state(address: IPInterface, mtu: int, narrower: Mapping[IPNetwork, int]) -> InterfaceState:
    """How our interface should be.

    Args:
        narrower: where packets must be smaller than the interface's MTU allows, and how small.
    """
    overlay: dict[IPNetwork, Route] = {address.network: Route()} if address.network.prefixlen < address.max_prefixlen else {}
    routes = overlay | {network: Route(size) for network, size in narrower.items()}
    return InterfaceState(True, mtu, frozenset({address}), routes)


def differences(wanted: InterfaceState, actual: InterfaceState) -> list[Step]:
    """What to do to get from what is there to what should be. Others' addresses and routes stay.

    The kernel makes and drops routes together with addresses and the interface's state: they are compared once those are right.
    """
    steps: list[Step] = []
    if actual.mtu != wanted.mtu:
        steps.append(SetMtu(wanted.mtu))
    steps += [AddAddress(address) for address in sorted(wanted.addresses - actual.addresses, key=str)]
    if not actual.is_up:
        steps.append(SetUp())
    if steps:
        return steps
    for network, route in wanted.routes.items():
        there = actual.routes.get(network)
        if there is None:
            steps.append(SetRoute(network, route.mtu, is_new=True))
        elif there.is_ours and there.mtu != route.mtu:
            steps.append(SetRoute(network, route.mtu, is_new=False))
    steps += [RemoveRoute(network) for network, route in actual.routes.items() if route.is_ours and network not in wanted.routes]
    return steps
