"""Undo what a crash left behind, from the ledger: at the helper's start, and by `covey cleanup` without it (Linux)."""

import logging
from collections.abc import Awaitable, Callable, Iterable

from pyroute2.iproute.linux import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from helper.firewall.firewall import remove_table
from helper.ledger.ledger import Change, Ledger
from helper.ledger.processes import end_process, find_wireguard_go, is_wireguard_go, start_time
from helper.port_mapping.removal import remove_mapping
from helper.wireguard.uapi import remove_stale_socket
from protocol.errors import CoveyError

OUR_LINK_KINDS = ("wireguard", "tun")

Undoer = Callable[[Change], Awaitable[str | None]]
"""Undoes a change, or finds it undone. Answers with a sentence for people if something was still there to undo."""

log = logging.getLogger(__name__)


async def undo_all(ledger: Ledger) -> list[str]:
    """Undo every change that the ledger lists, the latest first, and strike it; return what was done, for people.

    A change that cannot be undone stays listed for the next time and stops none of the others.
    """
    return await undo(ledger, ledger.entries())


async def undo(ledger: Ledger, changes: Iterable[Change]) -> list[str]:
    """Undo some of the ledger's changes, as `undo_all` does."""
    done = []
    for change in reversed(tuple(changes)):
        undoer = UNDOERS.get(change.kind)
        if undoer is None:
            log.warning("do not know how to undo a change of the kind %r; it stays listed in %s", change.kind, ledger.path)
            continue
        try:
            sentence = await undoer(change)
            ledger.forget(change.id)
        except (OSError, NetlinkError, ValueError, CoveyError) as error:
            log.warning("could not undo %s %s: %s", change.kind, dict(change.details), error)
            continue
        if sentence is not None:
            log.info("%s", sentence)
            done.append(sentence)
    return done


async def end_wireguard_go(change: Change) -> str | None:
    """End the wireguard-go of a crashed helper; interface and socket go with it.

    Details: `interface`; `pid` and `start_time` (clock ticks since boot) once it runs. A record without them is from a crash
    within the start; then a process that serves the interface in our network namespace can only be that one.
    """
    interface, pid, started = change.details.get("interface"), change.details.get("pid"), change.details.get("start_time")
    if not isinstance(interface, str):
        raise ValueError("the change names no interface")
    candidates = [(pid, started)] if isinstance(pid, int) else [(one, start_time(one)) for one in find_wireguard_go(interface)]
    ended = False
    for number, ticks in candidates:
        if isinstance(ticks, int) and is_wireguard_go(number, interface):
            ended |= await end_process(number, ticks)
    remove_stale_socket(interface)
    return f"ended the wireguard-go that a crash had left behind on {interface}" if ended else None


async def remove_interface(change: Change) -> str | None:
    """Remove an interface. Details: `name`. One of another kind has nothing to do with us, whatever its name."""
    name = change.details.get("name")
    if not isinstance(name, str):
        raise ValueError("the change names no interface")
    async with AsyncIPRoute() as netlink:
        for index in await netlink.link_lookup(ifname=name):
            (link,) = await netlink.link("get", index=index)
            if link.get(("linkinfo", "kind")) in OUR_LINK_KINDS:
                await netlink.link("del", index=index)
                return f"removed the interface {name} that a crash had left behind"
    return None


async def remove_firewall_table(change: Change) -> str | None:
    """Remove a table of ours. Details: `table`."""
    name = change.details.get("table")
    if not isinstance(name, str):
        raise ValueError("the change names no table")
    return f"removed the firewall table {name} that a crash had left behind" if await remove_table(name) else None


UNDOERS: dict[str, Undoer] = {
    "wireguard-go": end_wireguard_go,
    "interface": remove_interface,
    "nft-table": remove_firewall_table,
    "port-mapping": remove_mapping,
}
