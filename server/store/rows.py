"""Rows to values and back, in one place."""

from dataclasses import fields
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from sqlalchemy import RowMapping, Select, select

from protocol.keys import PublicKey
from server.store.models import Account, Peer, PeerMeta, Role, SetupKey, User
from server.store.tables import peers, users

META_NAMES = tuple(field.name for field in fields(PeerMeta))


def account_of(row: RowMapping) -> Account:
    network = row["network"]
    return Account(
        row["id"],
        None if network is None else IPv4Network(network),
        row["dns_domain"],
        row["serial"],
        row["session_lifetime"],
    )


def user_of(row: RowMapping) -> User:
    given = {field.name: row[field.name] for field in fields(User) if field.name not in ("role", "has_password")}
    return User(**given, role=Role(row["role"]), has_password=row["password_hash"] is not None)


def setup_key_of(row: RowMapping) -> SetupKey:
    return SetupKey(**{field.name: row[field.name] for field in fields(SetupKey)})


def peer_rows() -> Select[Any]:
    """Peers with what `peer_of` wants to know of their users."""
    user_blocked_at = users.c.blocked_at.label("user_blocked_at")
    return select(peers, user_blocked_at).outerjoin(users, peers.c.user_id == users.c.id)


def peer_of(row: RowMapping) -> Peer:
    """One of `peer_rows`."""
    return Peer(
        id=row["id"],
        account_id=row["account_id"],
        public_key=PublicKey.from_text(row["public_key"]),
        name=row["name"],
        address=IPv4Address(row["address"]),
        ephemeral=row["ephemeral"],
        setup_key_id=row["setup_key_id"],
        created_at=row["created_at"],
        last_seen=row["last_seen"],
        meta=PeerMeta(**{name: row[name] for name in META_NAMES}),
        user_id=row["user_id"],
        last_login=row["last_login"],
        is_blocked=row["user_blocked_at"] is not None,
    )


def meta_row(meta: PeerMeta) -> dict[str, str]:
    return {name: getattr(meta, name) for name in META_NAMES}


def peer_row(peer: Peer) -> dict[str, Any]:
    return meta_row(peer.meta) | {
        "id": peer.id,
        "account_id": peer.account_id,
        "public_key": peer.public_key.text,
        "name": peer.name,
        "address": str(peer.address),
        "ephemeral": peer.ephemeral,
        "setup_key_id": peer.setup_key_id,
        "created_at": peer.created_at,
        "last_seen": peer.last_seen,
        "user_id": peer.user_id,
        "last_login": peer.last_login,
    }
