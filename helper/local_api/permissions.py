"""Who may do what over the local API. Pure.

Root, the user that the helper runs as and members of the group `covey` may do everything. Whoever signed in a profile may do
what concerns it. The user at this machine's screen may change things, but an account of somebody else he may only disconnect.
Everyone else may read the status, without the keys, network addresses and e-mail addresses of others.
"""

from dataclasses import dataclass
from enum import Enum

from protocol.errors import NoPermission
from protocol.local_api import Ends, PeerStatus, StatusDocument

GROUP = "covey"
MAX_CONNECTIONS = 64  # at once, for each user who may only read


class Action(Enum):
    """What is asked for; the value completes "You may not ..."."""

    CONNECT = "connect this machine"
    DISCONNECT = "disconnect this machine"
    LEAVE = "log this machine out"
    SIGN_IN = "sign in on this machine"
    ADD = "add an account"
    USE = "change to this account"
    REMOVE = "remove this account"
    PREFER = "change the settings of this machine"
    SEE = "see all of this account"
    NAME = "see the names in everything that the helper knows"


PUBLIC_EVENTS = frozenset({"helper", "network", "sleep"})  # of the flight recorder: anybody here can notice them
OF_THE_MACHINE = frozenset({Action.DISCONNECT, Action.ADD, Action.PREFER})  # whoever's account is the active one


@dataclass(frozen=True, slots=True)
class Caller:
    """The process at the other end, as the kernel vouches for it."""

    uid: int
    gids: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Standing:
    """What a caller is to this machine.

    Attributes:
        uid: None for root and the helper's own user, who act for the machine, and for one that has left.
    """

    uid: int | None = None
    is_trusted: bool = False


def is_trusted(caller: Caller, own_uid: int, group: int | None) -> bool:
    """Say whether the caller may do everything. `group` is the number of the group `covey`, None where there is none."""
    return caller.uid in (0, own_uid) or (group is not None and group in caller.gids)


def may(action: Action, caller: Standing, owner: int | None, at_screen: int | None) -> bool:
    """Say whether the caller may do this.

    Args:
        owner: the user who signed in the profile that it concerns, None if nobody did.
        at_screen: the user of the active session at this machine's screen, None if there is none.
    """
    if caller.is_trusted:
        return True
    if caller.uid is None:
        return False
    if caller.uid == owner:
        return True
    return caller.uid == at_screen and (owner is None or action in OF_THE_MACHINE)


def refusal(action: Action, *, belongs_to_another: bool = False) -> NoPermission:
    """What to say to somebody who may not; `belongs_to_another`: he might, if the account were his."""
    as_root = f"run it as root (`sudo covey ...`), or join the group: `sudo usermod -aG {GROUP} USER`, then sign out and in."
    if belongs_to_another:
        return NoPermission(
            f"You may not {action.value}: the account belongs to another user of this machine.",
            f"Use one of your own: `covey profile add NAME`, `covey profile use NAME`. Or {as_root}",
        )
    return NoPermission(f"You may not {action.value}.", as_root[0].upper() + as_root[1:])


def redacted(status: StatusDocument) -> StatusDocument:
    """What everyone may see: names, overlay addresses and states, but no endpoints, no keys of others, and not who signed in."""
    peers, error = status["peers"], status["error"]
    details = [_redacted_peer(peer) for peer in peers["details"]]
    if error is not None and status["email"]:
        error = {**error, "sentence": error["sentence"].replace(status["email"], "this person")}
    return {**status, "email": "", "error": error, "candidates": [], "networks": [], "peers": {**peers, "details": details}}


def _redacted_peer(peer: PeerStatus) -> PeerStatus:
    nowhere: Ends = {"local": "", "remote": ""}
    return {**peer, "publicKey": "", "iceCandidateEndpoint": nowhere, "relayAddress": ""}
