"""What the server remembers: accounts, people, setup keys, peers, in one database in the data folder."""

from server.store.models import Account, NewSetupKey, Peer, PeerMeta, Role, SetupKey, User
from server.store.store import Store, open_store

__all__ = ["Account", "NewSetupKey", "Peer", "PeerMeta", "Role", "SetupKey", "Store", "User", "open_store"]
