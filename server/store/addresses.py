"""Overlay addresses: which range the network takes, which address a machine. Pure."""

import hashlib
import random
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network

from protocol.keys import PublicKey
from server.store.errors import NetworkRangeRefused

SHARED_SPACE = IPv4Network("100.64.0.0/10")  # RFC 6598
DEFAULT_PREFIX_LENGTH = 16
WIDEST, NARROWEST = 8, 29  # prefix lengths that make sense for a range


def check_range(network: IPv4Network) -> None:
    """Raise NetworkRangeRefused if machines cannot have addresses in this range anywhere."""
    if not WIDEST <= network.prefixlen <= NARROWEST:
        raise NetworkRangeRefused(f"the range {network} has a prefix length outside /{WIDEST} to /{NARROWEST}")
    if network.is_loopback or network.is_multicast or network.is_link_local or network.is_unspecified or network.is_reserved:
        raise NetworkRangeRefused(f"the range {network} has a special meaning, so machines cannot have addresses in it")


def refuse_clash(network: IPv4Network, in_use: Iterable[IPv4Network]) -> None:
    """Raise NetworkRangeRefused if this machine already uses a part of the range."""
    for used in in_use:
        if network.overlaps(used):
            raise NetworkRangeRefused(f"the range {network} overlaps {used}, which this machine already uses")


def choose_range(in_use: Iterable[IPv4Network], rng: random.Random) -> IPv4Network:
    """Draw a /16 of 100.64.0.0/10 that this machine does not use yet. Raises NetworkRangeRefused if there is none."""
    used = list(in_use)
    free = [n for n in SHARED_SPACE.subnets(new_prefix=DEFAULT_PREFIX_LENGTH) if not any(n.overlaps(u) for u in used)]
    if not free:
        sentence = f"this machine already uses a part of every /{DEFAULT_PREFIX_LENGTH} in {SHARED_SPACE}"
        raise NetworkRangeRefused(sentence, "Configure another range, such as 10.92.0.0/16.")
    return rng.choice(free)


def candidate_addresses(network: IPv4Network, public_key: PublicKey) -> Iterator[IPv4Address]:
    """Every host address of the range once, in an order of this key's own, so that a machine that returns finds its old one."""
    first, count = int(network.network_address) + 1, network.num_addresses - 2
    start = int.from_bytes(hashlib.sha256(public_key.raw).digest()[:8], "big") % count
    for offset in range(count):
        yield IPv4Address(first + (start + offset) % count)
