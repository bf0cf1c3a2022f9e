"""Who may do what over the local API. The kernel says who calls; the answer is pure.

Root, the user that the helper runs as and the group `covey` may change things. Everybody else on this machine may read the
status, less what concerns others: no endpoints, no candidates.
"""

import copy
from dataclasses import dataclass

from protocol.errors import NoPermission
from protocol.local_api import StatusDocument

GROUP = "covey"


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever is at the other end of the socket: user id and all group names."""

    uid: int
    groups: frozenset[str]


def may_change(caller: Caller, own_uid: int) -> bool:
    return caller.uid in (0, own_uid) or GROUP in caller.groups


def require_change(caller: Caller, own_uid: int) -> None:
    """Raise NoPermission unless the caller may change things."""
    if not may_change(caller, own_uid):
        raise NoPermission("only root and members of the group `covey` may change the connection of this machine")


def redacted(document: StatusDocument) -> StatusDocument:
    """The status as everybody on this machine may see it."""
    public = copy.deepcopy(document)
    public["candidates"] = []
    for peer in public["peers"]["details"]:
        peer["iceCandidateEndpoint"] = {"local": "", "remote": ""}
        peer["relayAddress"] = ""
    return public
