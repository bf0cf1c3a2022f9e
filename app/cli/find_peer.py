"""Which peer a person means. Pure."""

import difflib
import ipaddress

from app.cli.words import plain, short_name
from protocol.errors import CoveyError
from protocol.local_api import PeerStatus, StatusDocument

KEY_PREFIX = 4  # characters of a key that are enough to try


class PeerUnknown(CoveyError):
    code = "peer-unknown"
    hint = "`covey peers` lists them."


def find_peer(status: StatusDocument, wanted: str) -> PeerStatus:
    """The peer of that name (with or without domain), address, or beginning of a key.

    Raises:
        PeerUnknown: nobody is called that, or several are; the hint lists names that are near.
    """
    peers, name = status["peers"]["details"], wanted.strip().lower().rstrip(".")
    for found in (
        [peer for peer in peers if name and name == peer["fqdn"].lower().rstrip(".")],
        [peer for peer in peers if _is_address(name, peer["ip"])],
        [peer for peer in peers if wanted and wanted == peer["publicKey"]],
        [peer for peer in peers if name and name == peer["fqdn"].lower().partition(".")[0]],
        [peer for peer in peers if len(wanted) >= KEY_PREFIX and peer["publicKey"].startswith(wanted)],
    ):
        if len(found) == 1:
            return found[0]
        if found:
            raise PeerUnknown(f"Several peers are called {shown(wanted)}.", "Say which: " + _listed(found))
    if name and name in (status["fqdn"].lower(), status["fqdn"].lower().partition(".")[0], status["ip"].partition("/")[0]):
        raise PeerUnknown(f"{shown(wanted)} is this machine itself.", PeerUnknown.hint)
    if not peers and status["daemonStatus"] != "Connected":
        raise PeerUnknown("This machine is not connected, so it has no peers.", "Run `covey up` first.")
    names = {short_name(peer).lower(): short_name(peer) for peer in peers}
    near = [names[match] for match in difflib.get_close_matches(name.partition(".")[0], list(names), 3, 0.5)]
    raise PeerUnknown(f"No peer is called {shown(wanted)}.", f"Did you mean {' or '.join(near)}?" if near else None)


def again(status: StatusDocument, peer: PeerStatus) -> PeerStatus:
    """The same peer in a newer status; as it was if it is gone from there."""
    return next((one for one in status["peers"]["details"] if one["ip"] == peer["ip"]), peer)


def shown(text: str) -> str:
    """What was typed, short and harmless."""
    return f"{plain(text[:60])!r}"


def _is_address(name: str, address: str) -> bool:
    try:
        return ipaddress.ip_address(name) == ipaddress.ip_address(address.partition("/")[0])
    except ValueError:
        return False


def _listed(peers: list[PeerStatus]) -> str:
    return ", ".join(f"{plain(peer['fqdn'])} ({plain(peer['ip'])})" for peer in peers[:8]) + "."
