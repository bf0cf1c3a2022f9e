"""DNS labels for machines. Pure."""

import itertools
import re
from collections.abc import Iterator
from ipaddress import IPv4Address

FALLBACK = "peer"
RESERVED = frozenset({"localhost"})
MAX_LABEL = 59  # what NetBird leaves of the 63 octets
MAX_DNS_LABEL = 63  # octets; RFC 1035, section 2.3.4


def label_of(hostname: str) -> str:
    """The DNS label that a host name asks for: its first label, lower case, only a-z, 0-9 and inner hyphens.

    Letters beyond ASCII become punycode (RFC 3492); where that does not fit, hyphens.
    """
    first = hostname.strip()[:253].split(".", 1)[0].lower()
    if not first.isascii():
        try:
            encoded = first.encode("idna").decode("ascii")
        except UnicodeError:
            encoded = ""
        if 0 < len(encoded) <= MAX_LABEL:
            first = encoded
    label = re.sub(r"[^a-z0-9-]", "-", first)[:MAX_LABEL].strip("-")
    return label or FALLBACK


def candidate_names(label: str, address: IPv4Address) -> Iterator[str]:
    """Names to try until one is free: the label, then with the address's last two octets, then ever longer ones."""
    if label not in RESERVED:
        yield label
    octets = str(address).split(".")
    for shown in (2, 3, 4):
        yield _suffixed(label, octets[-shown:])
    for number in itertools.count(2):
        yield _suffixed(label, [*octets, str(number)])


def _suffixed(label: str, parts: list[str]) -> str:
    suffix = "-" + "-".join(parts)
    return label[: MAX_DNS_LABEL - len(suffix)].rstrip("-") + suffix
