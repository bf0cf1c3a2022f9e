"""Which machines must not be served by the relay any more, though they still have credentials that are good for hours. Pure."""

from server.management.network_map import AccountMap

MAX_REMOVED = 10_000  # machines that were removed while we ran; the longest ago are forgotten first


class Outsiders:
    """Follows the maps of all accounts."""

    def __init__(self) -> None:
        self._kept_out: dict[str, frozenset[str]] = {}  # by account
        self._members: dict[str, frozenset[str]] = {}
        self._removed: dict[str, None] = {}  # in the order in which they went

    @property
    def ids(self) -> frozenset[str]:
        """The ids of peers that are blocked, whose session is over, or who were removed."""
        return frozenset(self._removed).union(*self._kept_out.values())

    def take(self, account_map: AccountMap) -> bool:
        """Take in an account's newest map; True if that changed who is out."""
        account, before = account_map.account_id, self.ids
        members = account_map.peer_ids | account_map.kept_out
        for peer_id in self._members.get(account, frozenset()) - members:
            self._removed[peer_id] = None
        while len(self._removed) > MAX_REMOVED:
            del self._removed[next(iter(self._removed))]
        self._members[account], self._kept_out[account] = members, account_map.kept_out
        return self.ids != before

    def let_in(self, peer_id: str) -> bool:
        """The peer's person has just signed in: the next map will say so. True if the peer was out."""
        found = [account for account, ids in self._kept_out.items() if peer_id in ids]
        for account in found:
            self._kept_out[account] -= {peer_id}
        return bool(found)
