"""What is asked of a router and what it answers, whichever protocol carries it. Pure."""

from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Literal, get_args

from protocol.addresses import Address

Method = Literal["pcp", "nat-pmp", "upnp"]
METHODS: tuple[Method, ...] = get_args(Method)  # the best first
TITLES: dict[Method, str] = {"pcp": "PCP", "nat-pmp": "NAT-PMP", "upnp": "UPnP"}

Reason = Literal["refused", "conflict", "same-port", "only-permanent"]


@dataclass(frozen=True, slots=True)
class Sight:
    """What a look at the router showed.

    Attributes:
        epoch: seconds since the router lost its mappings, by its own clock; None where the protocol has none.
        external_ip: its outer address; None if it was not asked.
        is_there: False if it says that our mapping is gone.
    """

    epoch: int | None = None
    external_ip: IPv4Address | None = None
    is_there: bool = True


@dataclass(frozen=True, slots=True)
class Grant:
    """A mapping.

    Attributes:
        lease: seconds that it lasts; 0 for ever, which only UPnP has.
        epoch: as `Sight`'s.
    """

    external: Address
    lease: float
    epoch: int | None = None


class MappingRefused(Exception):
    """The router said no.

    Attributes:
        reason: `conflict`: somebody else has that outer port. `same-port`: outer and inner port must be the same.
            `only-permanent`: it knows no leases.
        retry_after: seconds after which it is worth asking again, as the router says; 0 if it does not say.
    """

    def __init__(self, sentence: str, reason: Reason = "refused", retry_after: float = 0.0) -> None:
        super().__init__(sentence)
        self.reason, self.retry_after = reason, retry_after
