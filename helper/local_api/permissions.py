"""Who may do what over the local API. Pure.

Root, the user that the helper runs as and members of the group `covey` may change things. Everyone else on this machine
may read the status, without the keys and network addresses of others.
"""

from dataclasses import dataclass

from protocol.errors import NoPermission
from protocol.local_api import Ends, PeerStatus, StatusDocument

GROUP = "covey"
MAX_CONNECTIONS = 64  # at once, for each user who may only read


@dataclass(frozen=True, slots=True)
class Caller:
    """The process at the other end, as the kernel vouches for it."""

    uid: int
    gids: frozenset[int] = frozenset()


def may_change(caller: Caller, own_uid: int, group: int | None) -> bool:
    """Say whether the caller may change things. `group` is the number of the group `covey`, None where there is none."""
    return caller.uid in (0, own_uid) or (group is not None and group in caller.gids)


def refusal(what: str) -> NoPermission:
    return NoPermission(
        f"You may not {what}.",
        f"Run it as root (`sudo covey ...`), or join the group: `sudo usermod -aG {GROUP} USER`, then sign out and in.",
    )


def redacted(status: StatusDocument) -> StatusDocument:
    """What everyone may see: names, overlay addresses and states, but no endpoints and no keys of others."""
    peers = status["peers"]
    details = [_redacted_peer(peer) for peer in peers["details"]]
    return {**status, "candidates": [], "peers": {**peers, "details": details}}


def _redacted_peer(peer: PeerStatus) -> PeerStatus:
    nowhere: Ends = {"local": "", "remote": ""}
    return {**peer, "publicKey": "", "iceCandidateEndpoint": nowhere, "relayAddress": ""}
