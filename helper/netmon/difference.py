"""What changed between two looks at the network, in words. Pure."""

from helper.netmon.snapshot import DefaultRoute, LocalAddress, Snapshot

NOTHING = Snapshot(frozenset(), ())
SHOWN = 6  # addresses that a sentence names


def difference(before: Snapshot | None, after: Snapshot) -> str:
    """A sentence: which addresses came and went, and where the default route leads now."""
    before = before or NOTHING
    gone, come = before.addresses - after.addresses, after.addresses - before.addresses
    parts = []
    if gone:
        parts.append(f"{_listed(gone)} went")
    if come:
        parts.append(f"{_listed(come)} came")
    for version, name in ((4, "IPv4"), (6, "IPv6")):
        former, now = _best(before, version), _best(after, version)
        if former != now:
            parts.append(_moved(name, former, now))
    if not parts and before.default_routes != after.default_routes:
        parts.append("a second default route changed")
    if not after.addresses:
        parts.append("no address is left")
    return f"The network changed: {', '.join(parts) or 'nothing that matters'}."


def _moved(name: str, former: DefaultRoute | None, now: DefaultRoute | None) -> str:
    if now is None:
        return f"the default route for {name} went"
    if former is None:
        return f"the default route for {name} leads over {_via(now)}"
    return f"the default route for {name} moved from {_via(former)} to {_via(now)}"


def _best(snapshot: Snapshot, version: int) -> DefaultRoute | None:
    """The route that is used; one without a gateway counts for both families."""
    return next((route for route in snapshot.default_routes if route.gateway is None or route.gateway.version == version), None)


def _via(route: DefaultRoute) -> str:
    return f"{route.interface} ({route.gateway})" if route.gateway is not None else route.interface


def _listed(addresses: frozenset[LocalAddress]) -> str:
    listed = [f"{one.interface} {one.ip}" for one in sorted(addresses, key=lambda one: (one.interface, one.ip.version, one.ip))]
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more
