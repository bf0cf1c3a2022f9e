"""Happy eyeballs (RFC 8305): of a server's many addresses take the first that really answers.

Addresses are tried IPv6 first and the families in turn; the next attempt starts 150 ms after the last, or at once when it
fails, and the slow ones stay in the race. So a black hole, mostly broken IPv6, costs 150 ms.
"""

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Generic, TypeVar

from helper.clients.probe import NoRoute
from helper.http_proxy.dial import Place
from helper.http_proxy.way import WAY_OUT
from helper.names import look_up
from protocol.addresses import Address
from protocol.errors import CoveyError, ProxyRefused, ServerUnreachable

log = logging.getLogger(__name__)

ATTEMPT_DELAY = 0.15  # seconds between attempts (RFC 8305, section 5 recommends 0.25 and allows 0.1)
SECOND_OPINION = 2.0  # seconds that other addresses get once one of them gave a definite no; ours
MAX_ADDRESSES = 16  # of one server, whatever DNS says; ours

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Resolved:
    host: str
    addresses: Sequence[Place]


@dataclass(frozen=True, slots=True)
class _Failed:
    where: str | Place
    error: CoveyError


@dataclass(frozen=True, slots=True)
class _Answered(Generic[T]):
    host: str
    address: Place
    result: T


_Outcome = _Resolved | _Failed | _Answered[T]


def interleaved(addresses: Iterable[Place]) -> list[Place]:
    """Put IPv6 first and the families in turn, each in the order given, without duplicates (RFC 8305, section 4)."""
    unique = list(dict.fromkeys(addresses))
    ipv6 = [address for address in unique if address.is_ipv6]
    ipv4 = [address for address in unique if not address.is_ipv6]
    return [address for address in chain.from_iterable(zip_longest(ipv6, ipv4)) if address is not None][:MAX_ADDRESSES]


async def resolve(host: str, port: int) -> Sequence[Place]:
    """All addresses of a host, or the way to it through a proxy. Raises ServerUnreachable when there are none."""
    if through := await WAY_OUT.places(host, port):
        return through
    try:
        addresses = [Address(ip, port) for ip in await look_up(host)]
    except (OSError, ValueError) as error:  # ValueError: no name at all, by its characters
        temporary = isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN
        reason = "cannot be looked up now (does this machine have a working DNS server?)" if temporary else "is not known"
        raise ServerUnreachable(f"the server's name {host} {reason}") from None
    if not addresses:
        raise ServerUnreachable(f"the server's name {host} has no usable address")
    return addresses


def literal(host: str, port: int) -> Address | None:
    """The address, if the host is one and no name."""
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return None
    return Address(ip, port)


async def race(
    hosts: Iterable[str], port: int, probe: Callable[[str, Place], Awaitable[T]], *, timeout: float
) -> tuple[str, Place, T]:
    """Host, place and result of the first probe that succeeds; names are looked up and addresses probed side by side.

    Args:
        probe: gets the host as it was given and one place of it; a CoveyError from it is that place's failure.
        timeout: seconds for all of it.
    Raises:
        CoveyError: the most telling failure, once all have failed or the time is over.
    """
    loop = asyncio.get_running_loop()
    deadline, next_attempt = loop.time() + timeout, loop.time()
    outcomes: asyncio.Queue[_Outcome[T]] = asyncio.Queue()
    host_of: dict[Place, str] = {}
    waiting: list[Place] = []
    pending: set[str | Place] = set()  # names that are being looked up, addresses that are being probed
    failures: list[_Failed] = []
    winner: _Answered[T] | None = None

    async def look_up(host: str) -> None:
        try:
            outcomes.put_nowait(_Resolved(host, await resolve(host, port)))
        except CoveyError as error:
            outcomes.put_nowait(_Failed(host, error))

    async def attempt(host: str, place: Place) -> None:
        try:
            outcomes.put_nowait(_Answered(host, place, await probe(host, place)))
        except CoveyError as error:
            outcomes.put_nowait(_Failed(place, error))

    async with asyncio.TaskGroup() as group:
        children: list[asyncio.Task[None]] = []
        for host in dict.fromkeys(hosts):
            if (address := literal(host, port)) and WAY_OUT.proxy_for(host, port) is None:
                outcomes.put_nowait(_Resolved(host, [address]))
            else:
                children.append(group.create_task(look_up(host)))
            pending.add(host)
        while winner is None and (pending or waiting) and loop.time() < deadline:
            if waiting and outcomes.empty() and loop.time() >= next_attempt:
                place = waiting.pop(0)
                pending.add(place)
                children.append(group.create_task(attempt(host_of[place], place)))
                next_attempt = loop.time() + ATTEMPT_DELAY
            try:
                async with asyncio.timeout_at(min(deadline, next_attempt) if waiting else deadline):
                    outcome = await outcomes.get()
            except TimeoutError:
                continue
            match outcome:
                case _Resolved(host, addresses):
                    pending.discard(host)
                    new = [address for address in addresses if address not in host_of]
                    host_of.update(dict.fromkeys(new, host))
                    waiting = interleaved([*waiting, *new])
                case _Failed(where, error):
                    log.debug("%s: %s", where, error)
                    pending.discard(where)
                    failures.append(outcome)
                    next_attempt = loop.time()
                    if not isinstance(error, ServerUnreachable):
                        deadline = min(deadline, loop.time() + SECOND_OPINION)
                case _Answered():
                    winner = outcome
        for child in children:
            child.cancel()
    if winner is None:
        raise verdict([failure.error for failure in failures], [str(where) for where in (*pending, *waiting)], timeout)
    return winner.host, winner.address, winner.result


def verdict(errors: list[CoveyError], silent: list[str], timeout: float) -> CoveyError:
    """One error for a lost race: a server's definite no, else a proxy's, else every address with its reason.

    Addresses that this machine has no way to are named only if there is nothing else to say.

    Args:
        silent: names and addresses that gave no answer within `timeout` seconds.
    """
    definite = [error for error in errors if not isinstance(error, ServerUnreachable)]
    definite += [error for error in errors if isinstance(error, ProxyRefused)]
    if definite:
        return definite[0]
    tried = [error for error in errors if not isinstance(error, NoRoute)]
    reasons = [str(error) for error in (tried or ([] if silent else errors))]
    if silent:
        reasons.append(f"no answer from {', '.join(sorted(silent))} within {timeout:.0f} s")
    if not reasons:
        reasons.append("the server has no address")
    text = "; ".join(dict.fromkeys(reasons))
    return ServerUnreachable(text)
