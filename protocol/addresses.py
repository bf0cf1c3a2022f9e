"""A transport address: an IP address and a port."""

import ipaddress
from typing import NamedTuple, Self

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPInterface = ipaddress.IPv4Interface | ipaddress.IPv6Interface
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


class Address(NamedTuple):
    """An IP address and a port, 0 to 65535. Its text is `192.0.2.1:80` or `[2001:db8::1]:80`."""

    ip: IPAddress
    port: int

    @classmethod
    def of(cls, host: str, port: int) -> Self:
        """Take an IP literal. Raises ValueError for names, scoped addresses and ports out of range."""
        ip = ipaddress.ip_address(host)
        if isinstance(ip, ipaddress.IPv6Address) and ip.scope_id:
            raise ValueError("an IPv6 address with a scope is no address for others")
        if not 0 <= port <= 65535:
            raise ValueError("a port is 0 to 65535")
        return cls(ip, port)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `192.0.2.1:80` or `[2001:db8::1]:80`. Raises ValueError."""
        host, colon, port = text.rpartition(":")
        if not colon or not port.isascii() or not port.isdigit():
            raise ValueError("an address is HOST:PORT")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise ValueError("an IPv6 address with a port stands in brackets")
        return cls.of(host, int(port))

    @property
    def host(self) -> str:
        return str(self.ip)

    @property
    def is_ipv6(self) -> bool:
        return self.ip.version == 6

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if self.is_ipv6 else f"{self.ip}:{self.port}"
