"""Which of a certificate's names lead to this server: one certificate may serve many hosts."""

import asyncio
import ipaddress
import logging
from collections.abc import Awaitable, Callable, Collection

from protocol.addresses import IPAddress

log = logging.getLogger(__name__)

RESOLVE_TIMEOUT = 5.0  # seconds, for all of them together


async def resolve(name: str) -> set[IPAddress]:
    """The addresses of a name; none if it has none, or nobody answers. `%` begins an address's zone."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, None)
    except OSError:
        return set()
    return {ipaddress.ip_address(str(sockaddr[0]).partition("%")[0]) for *_, sockaddr in found}


async def names_that_lead_here(
    names: Collection[str], addresses: Collection[IPAddress], resolve: Callable[[str], Awaitable[set[IPAddress]]] = resolve
) -> tuple[str, ...]:
    """Those of the names that resolve to one of our addresses.

    If none does we cannot tell (no DNS yet, or an address behind a NAT), and keep all: no name at all would pin the certificate.
    """
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT):
            found = await asyncio.gather(*(resolve(name) for name in names))
    except TimeoutError:
        found = []
    here = tuple(name for name, of_name in zip(names, found, strict=False) if of_name & set(addresses))
    if names and not here:
        log.warning("none of the certificate's names leads to %s: machines are sent to %s", *map(_listed, (addresses, names)))
        log.warning("Give --public-address IP or --public-name NAME if that is wrong.")
    return here or tuple(names)


def _listed(things: Collection[object]) -> str:
    return ", ".join(map(str, things))
