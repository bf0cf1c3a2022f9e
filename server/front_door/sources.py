"""How many connections each source has, so that one cannot take all that there are."""

import ipaddress
from collections import Counter
from typing import Any

MAX_PER_SOURCE = 512  # connections; many people may share an address (carrier-grade NAT)


def source_of(sockaddr: Any) -> bytes:
    """An IPv4 address, or the /64 of an IPv6 one: that much anybody has."""
    return ipaddress.ip_address(sockaddr[0]).packed[:8]


class Sources:
    def __init__(self) -> None:
        self._counts: Counter[bytes] = Counter()

    def __getitem__(self, source: bytes) -> int:
        return self._counts[source]

    def __len__(self) -> int:
        return len(self._counts)

    def enter(self, source: bytes) -> None:
        self._counts[source] += 1

    def leave(self, source: bytes) -> None:
        self._counts[source] -= 1
        if not self._counts[source]:
            del self._counts[source]
