"""The store: short transactions, one writer at a time, other processes tolerated and noticed."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import asdict
from ipaddress import IPv4Network
from pathlib import Path

from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from protocol.keys import PrivateKey, PublicKey
from server.store import registration, setup_keys, sqlite, tables
from server.store.errors import NetworkRangeRefused, NoServerHere, NoSuchPeer, NoSuchSetupKey
from server.store.folder import DATABASE, load_management_key, prepare_folder
from server.store.migrate import migrate
from server.store.models import Account, NewSetupKey, Peer, PeerMeta, SetupKey
from server.store.rows import account_of, meta_row, peer_of, setup_key_of

POLL_INTERVAL = 0.3  # seconds between two looks for changes of other processes
DEFAULT_DOMAIN = "covey.internal"


@asynccontextmanager
async def open_store(
    data_dir: Path, *, must_exist: bool = False, clock: Callable[[], float] = time.time
) -> AsyncIterator["Store"]:
    """Open the data folder's database, make or upgrade it first.

    Args:
        must_exist: raise NoServerHere instead of making a database where there is none.
        clock: unix seconds.
    """
    if must_exist and not (data_dir / DATABASE).exists():
        raise NoServerHere(f"there is no Covey server in {data_dir}")
    database = await asyncio.to_thread(prepare_folder, data_dir)
    engine = sqlite.open_engine(database)
    try:
        await migrate(engine, database)
        store = Store(engine, data_dir, clock)
        await store.make_default_account()
        yield store
    finally:
        await asyncio.shield(engine.dispose())


class Store:
    """What a server remembers. Every method is one transaction."""

    def __init__(self, engine: AsyncEngine, data_dir: Path, clock: Callable[[], float]) -> None:
        self._engine, self._data_dir, self._clock = engine, data_dir, clock
        self._writer = asyncio.Lock()

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        async with self._engine.connect() as connection:
            yield connection

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncConnection]:
        async with self._writer, self._engine.connect() as connection:
            await connection.execution_options(**sqlite.WRITES)
            async with connection.begin():
                yield connection

    def management_key(self) -> PrivateKey:
        """The server's own key, from its file beside the database; made when it is not there."""
        return load_management_key(self._data_dir)

    # ---- accounts

    async def make_default_account(self) -> None:
        async with self._reading() as connection:
            if (await connection.execute(select(tables.accounts.c.id))).first() is not None:
                return
        async with self._writing() as connection:
            if (await connection.execute(select(tables.accounts.c.id))).first() is None:
                account = {"id": new_id(), "dns_domain": DEFAULT_DOMAIN, "serial": 0, "created_at": self._clock()}
                await connection.execute(insert(tables.accounts).values(account))

    async def account(self) -> Account:
        """The account that this server serves; there is one."""
        async with self._reading() as connection:
            return await _first_account(connection)

    async def set_network(self, network: IPv4Network, dns_domain: str) -> Account:
        """Fix where addresses come from and under which domain names stand.

        Raises NetworkRangeRefused if machines have addresses in another range already: theirs never change.
        """
        async with self._writing() as connection:
            account = await _first_account(connection)
            if account.network != network and account.network is not None:
                in_account = tables.peers.c.account_id == account.id
                count = (await connection.execute(select(func.count()).select_from(tables.peers).where(in_account))).scalar_one()
                if count:
                    sentence = (
                        f"the range cannot become {network}: {count} registered machines have addresses in {account.network}"
                    )
                    raise NetworkRangeRefused(sentence, f"Configure {account.network}, or remove these machines first.")
            if (account.network, account.dns_domain) != (network, dns_domain):
                changed = update(tables.accounts).where(tables.accounts.c.id == account.id)
                await connection.execute(changed.values(network=str(network), dns_domain=dns_domain))
                await registration.raise_serial(connection, account.id, self._clock())
            return await _first_account(connection)

    async def serials(self) -> dict[str, int]:
        """The serial of each account: another number when its network map may look otherwise."""
        async with self._reading() as connection:
            rows = await connection.execute(select(tables.accounts.c.id, tables.accounts.c.serial))
            return {row.id: row.serial for row in rows}

    async def members(self, account_id: str) -> tuple[Account, list[Peer]]:
        """The account and its peers, of the same moment, in a lasting order."""
        async with self._reading() as connection:
            found = await connection.execute(select(tables.accounts).where(tables.accounts.c.id == account_id))
            account = account_of(found.mappings().one())
            in_account = select(tables.peers).where(tables.peers.c.account_id == account_id).order_by(tables.peers.c.id)
            return account, [peer_of(row) for row in (await connection.execute(in_account)).mappings()]

    async def changes(self, interval: float = POLL_INTERVAL) -> AsyncIterator[None]:
        """Yield whenever the database was written to, by whomever; looks every `interval` seconds."""
        async with self._engine.connect() as connection:
            await connection.execution_options(**sqlite.WATCHES)
            known = await sqlite.data_version(connection)
            while True:
                await asyncio.sleep(interval)
                version = await sqlite.data_version(connection)
                if version != known:
                    known = version
                    yield

    # ---- setup keys

    async def create_setup_key(
        self,
        *,
        name: str,
        reusable: bool = False,
        lifetime: float | None = None,
        usage_limit: int | None = None,
        ephemeral: bool = False,
    ) -> NewSetupKey:
        """Make a key; only its hash is kept. `lifetime` is in seconds, None for ever; for the limit see `limit_of`."""
        now, key = self._clock(), setup_keys.new_key()
        limit = setup_keys.limit_of(reusable=reusable, usage_limit=usage_limit)
        async with self._writing() as connection:
            account = await _first_account(connection)
            record = SetupKey(
                id=new_id(),
                account_id=account.id,
                name=name,
                hint=setup_keys.hint_of(key),
                reusable=limit != 1,
                expires_at=None if lifetime is None else now + lifetime,
                usage_limit=limit,
                used=0,
                ephemeral=ephemeral,
                revoked_at=None,
                created_at=now,
            )
            await connection.execute(insert(tables.setup_keys).values(asdict(record) | {"key_hash": setup_keys.hash_of(key)}))
        return NewSetupKey(key, record)

    async def setup_keys(self) -> list[SetupKey]:
        async with self._reading() as connection:
            rows = await connection.execute(
                select(tables.setup_keys).order_by(tables.setup_keys.c.created_at, tables.setup_keys.c.id)
            )
            return [setup_key_of(row) for row in rows.mappings()]

    async def revoke_setup_key(self, key_id: str) -> SetupKey:
        """From now on it registers nobody; machines that it let in stay. Raises NoSuchSetupKey."""
        one = tables.setup_keys.c.id == key_id
        async with self._writing() as connection:
            not_yet = tables.setup_keys.c.revoked_at.is_(None)
            await connection.execute(update(tables.setup_keys).where(one, not_yet).values(revoked_at=self._clock()))
            row = (await connection.execute(select(tables.setup_keys).where(one))).mappings().first()
            if row is None:
                raise NoSuchSetupKey("there is no setup key with this id")
            return setup_key_of(row)

    # ---- peers

    async def find_peer(self, public_key: PublicKey) -> Peer | None:
        async with self._reading() as connection:
            return await registration.find_peer(connection, public_key)

    async def register(self, public_key: PublicKey, key: str, meta: PeerMeta) -> Peer:
        """Let a machine in: its key's use, address and name in one transaction; one that is in already stays as it is.

        Raises SetupKeyMalformed, -Unknown, -Expired, -Revoked, -UsedUp (protocol.errors) or AddressesUsedUp.
        """
        key_hash = setup_keys.hash_of(key)
        async with self._writing() as connection:
            return await registration.register(connection, public_key, key_hash, meta, peer_id=new_id(), now=self._clock())

    async def update_meta(self, peer: Peer, meta: PeerMeta) -> None:
        """Keep what the machine says of itself; writes nothing if that is what it said before."""
        if meta == peer.meta:
            return
        async with self._writing() as connection:
            await connection.execute(update(tables.peers).where(tables.peers.c.id == peer.id).values(meta_row(meta)))
            if meta.netbird_version != peer.meta.netbird_version:
                await registration.raise_serial(connection, peer.account_id, self._clock())

    async def touch(self, peer_ids: Collection[str]) -> None:
        """Note that these machines are here now."""
        rest, now = list(peer_ids), self._clock()
        async with self._writing() as connection:
            while rest:
                some, rest = rest[:500], rest[500:]
                await connection.execute(update(tables.peers).where(tables.peers.c.id.in_(some)).values(last_seen=now))

    async def ephemeral_peers(self) -> dict[str, float]:
        """When each ephemeral peer was last seen, by its id."""
        async with self._reading() as connection:
            columns = select(tables.peers.c.id, tables.peers.c.last_seen).where(tables.peers.c.ephemeral)
            return {row.id: row.last_seen for row in await connection.execute(columns)}

    async def remove_peers(self, peer_ids: Collection[str]) -> None:
        """Forget these machines; ones that are gone already are no error."""
        async with self._writing() as connection:
            for peer_id in peer_ids:
                one = tables.peers.c.id == peer_id
                account_id = (await connection.execute(select(tables.peers.c.account_id).where(one))).scalar()
                if account_id is not None:
                    await connection.execute(delete(tables.peers).where(one))
                    await registration.raise_serial(connection, account_id, self._clock())

    async def find_by_id_or_name(self, word: str) -> Peer:
        """The machine with this id, name or full name. Raises NoSuchPeer."""
        async with self._reading() as connection:
            account = await _first_account(connection)
            name = word.lower().removesuffix(".").removesuffix("." + account.dns_domain)
            one = or_(tables.peers.c.id == word, tables.peers.c.name == name)
            row = (await connection.execute(select(tables.peers).where(one))).mappings().first()
            if row is None:
                raise NoSuchPeer(f"there is no machine called {word}")
            return peer_of(row)


def new_id() -> str:
    return secrets.token_hex(10)


async def _first_account(connection: AsyncConnection) -> Account:
    accounts = select(tables.accounts).order_by(tables.accounts.c.created_at).limit(1)
    return account_of((await connection.execute(accounts)).mappings().one())
