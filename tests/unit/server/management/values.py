"""Accounts and peers for tests of pure parts."""

import hashlib
from ipaddress import IPv4Address, IPv4Network

from protocol.keys import PublicKey
from server.store import Account, Peer, PeerMeta

NOW = 1_800_000_000.0
ACCOUNT = Account("account", IPv4Network("100.92.0.0/16"), "covey.internal", 1_800_000_000_000)


def peer(number: int, *, version: str = "0.77.1", last_login: float | None = None, is_blocked: bool = False) -> Peer:
    """A machine; with a last login one of a person's own."""
    return Peer(
        id=f"id{number:05}",
        account_id=ACCOUNT.id,
        public_key=PublicKey(hashlib.sha256(str(number).encode()).digest()),
        name=f"m{number}",
        address=IPv4Address("100.92.0.0") + number,
        ephemeral=False,
        setup_key_id=None,
        created_at=0.0,
        last_seen=0.0,
        meta=PeerMeta(hostname=f"m{number}", netbird_version=version),
        user_id=None if last_login is None else "alice",
        last_login=last_login,
        is_blocked=is_blocked,
    )
