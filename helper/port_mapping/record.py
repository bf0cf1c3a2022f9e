"""A mapping as the ledger keeps it: all that taking it back needs. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Self

from helper.ledger.ledger import Detail
from helper.port_mapping.gateway import Gateway
from helper.port_mapping.igd import SERVICES, Service, checked_url
from helper.port_mapping.operations import METHODS, Method
from helper.port_mapping.pcp import NONCE

KIND = "port-mapping"
URN = "urn:schemas-upnp-org:service:"


@dataclass(frozen=True, slots=True)
class MappingRecord:
    """Attributes:
    nonce: PCP's; the same for every method, so that it is there when it is needed.
    service: where a router with UPnP takes actions.
    ends: when the mapping has ended by itself at the latest, or is given up for lost; in seconds since 1970.
    """

    method: Method
    gateway: Gateway
    port: int
    external_port: int
    nonce: bytes
    service: Service | None
    ends: int

    def details(self) -> dict[str, Detail]:
        return {
            "protocol": self.method,
            "gateway": str(self.gateway.ip),
            "base": str(self.gateway.base),
            "internal_port": self.port,
            "external_port": self.external_port,
            "nonce": self.nonce.hex(),
            "service": self.service.kind if self.service else None,
            "control_url": self.service.control_url if self.service else None,
            "ends": self.ends,
        }

    @classmethod
    def read(cls, details: Mapping[str, Detail]) -> Self:
        """Raises ValueError for what this version did not write."""
        match details:
            case {
                "protocol": ("pcp" | "nat-pmp" | "upnp") as method,
                "gateway": str(ip),
                "base": str(base),
                "internal_port": int(port),
                "external_port": int(external_port),
                "nonce": str(nonce),
                "service": kind,
                "control_url": url,
                "ends": int(ends),
            } if method in METHODS and 0 < port < 65536 and 0 < external_port < 65536 and len(nonce) == 2 * NONCE:
                gateway = Gateway(IPv4Address(ip), IPv4Address(base))
                service = None
                if isinstance(kind, str) and isinstance(url, str) and kind.removeprefix(URN) in SERVICES:
                    service = Service(kind, checked_url(url, gateway.ip))
                return cls(method, gateway, port, external_port, bytes.fromhex(nonce), service, ends)
        raise ValueError("the change is no port mapping")
