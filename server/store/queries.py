"""Parts of transactions: plain functions of a connection."""

import secrets
from collections.abc import Sequence
from dataclasses import asdict
from ipaddress import IPv4Network

from sqlalchemy import Connection, delete, exists, func, insert, or_, select, update

from server.store.errors import NetworkRangeRefused
from server.store.models import Account, Peer, PeerMeta, SetupKey
from server.store.registration import raise_serial
from server.store.rows import account_of, meta_row, peer_of, peer_rows, setup_key_of
from server.store.tables import accounts, peers, setup_keys

DEFAULT_DOMAIN = "covey.internal"
BATCH = 500  # ids in one statement


def new_id() -> str:
    return secrets.token_hex(10)


# ---- accounts


def has_account(connection: Connection) -> bool:
    return bool(connection.execute(select(exists().select_from(accounts))).scalar())


def make_default_account(connection: Connection, now: float) -> None:
    """Make the one account, unless another process just did."""
    if not has_account(connection):
        connection.execute(insert(accounts).values(id=new_id(), dns_domain=DEFAULT_DOMAIN, serial=0, created_at=now))


def first_account(connection: Connection) -> Account:
    return account_of(connection.execute(select(accounts).order_by(accounts.c.created_at).limit(1)).mappings().one())


def set_network(connection: Connection, network: IPv4Network, dns_domain: str, now: float) -> Account:
    account = first_account(connection)
    if account.network != network and account.network is not None:
        in_account = select(func.count()).select_from(peers).where(peers.c.account_id == account.id)
        if count := connection.execute(in_account).scalar_one():
            sentence = f"the range cannot become {network}: {count} registered machines have addresses in {account.network}"
            raise NetworkRangeRefused(sentence, f"Configure {account.network}, or remove these machines first.")
    if (account.network, account.dns_domain) != (network, dns_domain):
        changed = update(accounts).where(accounts.c.id == account.id)
        connection.execute(changed.values(network=str(network), dns_domain=dns_domain))
        raise_serial(connection, account.id, now)
    return first_account(connection)


def set_session_lifetime(connection: Connection, lifetime: float | None, now: float) -> Account:
    account = first_account(connection)
    if account.session_lifetime != lifetime:
        connection.execute(update(accounts).where(accounts.c.id == account.id).values(session_lifetime=lifetime))
        raise_serial(connection, account.id, now)
    return first_account(connection)


def serials(connection: Connection) -> dict[str, int]:
    return {row.id: row.serial for row in connection.execute(select(accounts.c.id, accounts.c.serial))}


def members(connection: Connection, account_id: str) -> tuple[Account, list[Peer]]:
    account = account_of(connection.execute(select(accounts).where(accounts.c.id == account_id)).mappings().one())
    in_account = peer_rows().where(peers.c.account_id == account_id).order_by(peers.c.id)
    return account, [peer_of(row) for row in connection.execute(in_account).mappings()]


# ---- setup keys


def add_setup_key(connection: Connection, record: SetupKey, key_hash: str) -> None:
    connection.execute(insert(setup_keys).values(asdict(record) | {"key_hash": key_hash}))


def all_setup_keys(connection: Connection) -> list[SetupKey]:
    oldest_first = select(setup_keys).order_by(setup_keys.c.created_at, setup_keys.c.id)
    return [setup_key_of(row) for row in connection.execute(oldest_first).mappings()]


def revoke_setup_key(connection: Connection, key_id: str, now: float) -> SetupKey | None:
    """Revoke it, unless it is; None: there is no such key."""
    one = setup_keys.c.id == key_id
    connection.execute(update(setup_keys).where(one, setup_keys.c.revoked_at.is_(None)).values(revoked_at=now))
    row = connection.execute(select(setup_keys).where(one)).mappings().first()
    return None if row is None else setup_key_of(row)


# ---- peers


def update_meta(connection: Connection, peer: Peer, meta: PeerMeta, now: float) -> None:
    connection.execute(update(peers).where(peers.c.id == peer.id).values(meta_row(meta)))
    if meta.netbird_version != peer.meta.netbird_version:
        raise_serial(connection, peer.account_id, now)


def touch(connection: Connection, peer_ids: Sequence[str], now: float) -> None:
    for start in range(0, len(peer_ids), BATCH):
        some = peer_ids[start : start + BATCH]
        connection.execute(update(peers).where(peers.c.id.in_(some)).values(last_seen=now))


def ephemeral_peers(connection: Connection) -> dict[str, float]:
    rows = connection.execute(select(peers.c.id, peers.c.last_seen).where(peers.c.ephemeral))
    return {row.id: row.last_seen for row in rows}


def remove_peers(connection: Connection, peer_ids: Sequence[str], now: float) -> None:
    for peer_id in peer_ids:
        one = peers.c.id == peer_id
        account_id = connection.execute(select(peers.c.account_id).where(one)).scalar()
        if account_id is not None:
            connection.execute(delete(peers).where(one))
            raise_serial(connection, account_id, now)


def find_by_id_or_name(connection: Connection, word: str) -> Peer | None:
    name = word.lower().removesuffix(".").removesuffix("." + first_account(connection).dns_domain)
    row = connection.execute(peer_rows().where(or_(peers.c.id == word, peers.c.name == name))).mappings().first()
    return None if row is None else peer_of(row)
