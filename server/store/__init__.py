"""What the server remembers: accounts, setup keys, peers, in one database in the data folder."""

from server.store.models import Account, NewSetupKey, Peer, PeerMeta, SetupKey
from server.store.store import Store, open_store

__all__ = ["Account", "NewSetupKey", "Peer", "PeerMeta", "SetupKey", "Store", "open_store"]
