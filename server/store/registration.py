"""Letting a machine in: parts of one write transaction."""

from dataclasses import replace
from ipaddress import IPv4Address
from itertools import islice

from sqlalchemy import Connection, case, insert, select, update

from protocol.errors import SignInRefused
from protocol.keys import PublicKey
from server.store import setup_keys, tables
from server.store.addresses import candidate_addresses
from server.store.errors import AddressesUsedUp, NetworkRangeRefused
from server.store.models import Account, Peer, PeerMeta, SetupKey, User
from server.store.names import candidate_names, label_of
from server.store.rows import account_of, peer_of, peer_row, peer_rows, setup_key_of

FIRST_BATCH, LATER_BATCH = 2, 256  # addresses asked for at once; nearly always the first one is free


def find_peer(connection: Connection, public_key: PublicKey) -> Peer | None:
    row = connection.execute(peer_rows().where(tables.peers.c.public_key == public_key.text)).mappings().first()
    return None if row is None else peer_of(row)


def check(connection: Connection, public_key: PublicKey, key_hash: str, now: float) -> None:
    """Raise what `register` would raise because of the key; changes nothing, so it needs no write lock."""
    if find_peer(connection, public_key) is None:
        _usable_key(connection, key_hash, now)


def _usable_key(connection: Connection, key_hash: str, now: float) -> SetupKey:
    of_key = tables.setup_keys.c.key_hash == key_hash
    row = connection.execute(select(tables.setup_keys).where(of_key).with_for_update()).mappings().first()
    return setup_keys.check(None if row is None else setup_key_of(row), now)


def register(connection: Connection, public_key: PublicKey, key_hash: str, meta: PeerMeta, *, peer_id: str, now: float) -> Peer:
    """Spend a use of the key and add the machine; one that is in already costs nothing (its answer was lost)."""
    if (known := find_peer(connection, public_key)) is not None:
        return known
    key = _usable_key(connection, key_hash, now)
    of_key = tables.setup_keys.c.key_hash == key_hash
    connection.execute(update(tables.setup_keys).where(of_key).values(used=tables.setup_keys.c.used + 1))
    return _add(connection, key.account_id, public_key, meta, peer_id, now, ephemeral=key.ephemeral, setup_key_id=key.id)


def sign_in(connection: Connection, public_key: PublicKey, user: User, meta: PeerMeta, *, peer_id: str, now: float) -> Peer:
    """Add a person's machine, or begin its session anew. Raises SignInRefused for one that is not that person's."""
    if (known := find_peer(connection, public_key)) is None:
        return _add(connection, user.account_id, public_key, meta, peer_id, now, user_id=user.id, last_login=now)
    if known.user_id is None:
        raise SignInRefused(
            "this machine is in by a setup key and is nobody's own",
            "It needs no sign-in. To make it yours run `covey logout` on it first, and then `covey login`.",
        )
    if known.user_id != user.id:
        raise SignInRefused(
            "this machine is registered to another person",
            "Sign in as that person; or run `covey logout` on it first, which makes it a new machine.",
        )
    end = _account(connection, known.account_id).session_end(known)
    connection.execute(update(tables.peers).where(tables.peers.c.id == known.id).values(last_login=now))
    if end is not None and now >= end:  # the others see it again
        raise_serial(connection, known.account_id, now)
    return replace(known, last_login=now)


def _add(
    connection: Connection,
    account_id: str,
    public_key: PublicKey,
    meta: PeerMeta,
    peer_id: str,
    now: float,
    *,
    ephemeral: bool = False,
    setup_key_id: str | None = None,
    user_id: str | None = None,
    last_login: float | None = None,
) -> Peer:
    account = _account(connection, account_id)
    address = _free_address(connection, account, public_key)
    peer = Peer(
        id=peer_id,
        account_id=account.id,
        public_key=public_key,
        name=_free_name(connection, account, label_of(meta.hostname), address),
        address=address,
        ephemeral=ephemeral,
        setup_key_id=setup_key_id,
        created_at=now,
        last_seen=now,
        meta=meta,
        user_id=user_id,
        last_login=last_login,
    )
    connection.execute(insert(tables.peers).values(peer_row(peer)))
    raise_serial(connection, account.id, now)
    return peer


def _account(connection: Connection, account_id: str) -> Account:
    one = select(tables.accounts).where(tables.accounts.c.id == account_id).with_for_update()
    return account_of(connection.execute(one).mappings().one())


def raise_serial(connection: Connection, account_id: str, now: float) -> None:
    """Count a change of the network map: max(previous + 1, unix milliseconds), so that it grows after a restored copy, too."""
    previous, milliseconds = tables.accounts.c.serial, int(now * 1000)
    serial = case((previous < milliseconds, milliseconds), else_=previous + 1)
    connection.execute(update(tables.accounts).where(tables.accounts.c.id == account_id).values(serial=serial))


def _free_address(connection: Connection, account: Account, public_key: PublicKey) -> IPv4Address:
    if account.network is None:
        raise NetworkRangeRefused("this network has no address range yet", "Start the server once: `covey-server up`.")
    candidates = candidate_addresses(account.network, public_key)
    size = FIRST_BATCH
    while batch := list(islice(candidates, size)):
        asked = tables.peers.c.address.in_([str(address) for address in batch])
        of_batch = select(tables.peers.c.address).where(tables.peers.c.account_id == account.id, asked)
        taken = set(connection.execute(of_batch).scalars())
        for address in batch:
            if str(address) not in taken:
                return address
        size = LATER_BATCH
    raise AddressesUsedUp(f"every address of the range {account.network} is taken")


def _free_name(connection: Connection, account: Account, label: str, address: IPv4Address) -> str:
    names = candidate_names(label, address)
    while True:
        name = next(names)
        of_name = select(tables.peers.c.id).where(tables.peers.c.account_id == account.id, tables.peers.c.name == name)
        if connection.execute(of_name).first() is None:
            return name
