"""Who may be in: sessions that end, and persons who are kept out. Pure. Times are unix seconds."""

from google.protobuf.timestamp_pb2 import Timestamp

from protocol.errors import CoveyError, SessionExpired, UserBlocked
from server.store.models import Account, Peer


def why_out(account: Account, peer: Peer, now: float) -> CoveyError | None:
    """Why this machine has to stay out, or None if it may be in."""
    if peer.is_blocked:
        return UserBlocked("the person whose machine this is was blocked on this server")
    end = account.session_end(peer)
    if end is not None and now >= end:
        return SessionExpired("the session of this machine is over: peer login has expired")
    return None


def wire_end(end: float | None) -> Timestamp:
    """When a session ends, as clients want it: an absent field would leave them what they knew, zero says that it never ends."""
    return Timestamp(seconds=0 if end is None else int(end))
