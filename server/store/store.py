"""The store: short transactions, one writer at a time, other processes tolerated and noticed."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from ipaddress import IPv4Network
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from protocol.keys import PrivateKey, PublicKey
from server.store import queries, registration, setup_keys
from server.store.errors import NoServerHere, NoSuchPeer, NoSuchSetupKey
from server.store.folder import DATABASE, load_management_key, prepare_folder
from server.store.migrate import migrate
from server.store.models import Account, NewSetupKey, Peer, PeerMeta, SetupKey
from server.store.people import People
from server.store.sqlite import Database

POLL_INTERVAL = 0.3  # seconds between two looks for changes of other processes

Clock = Callable[[], float]
T = TypeVar("T")


@asynccontextmanager
async def open_store(
    data_dir: Path,
    *,
    must_exist: bool = False,
    may_migrate: Callable[[], bool] = lambda: True,
    clock: Clock = time.time,
) -> AsyncIterator["Store"]:
    """Open the data folder's database, make or upgrade it first.

    Args:
        must_exist: raise NoServerHere instead of making a database where there is none.
        may_migrate: asked before an older database is upgraded; if it says no, ServerOutdated is raised.
        clock: unix seconds.
    """
    if must_exist and not (data_dir / DATABASE).exists():
        raise NoServerHere(f"there is no Covey server in {data_dir}")
    database = Database(await asyncio.to_thread(prepare_folder, data_dir))
    try:
        await migrate(database, may_migrate)
        if not await database.read(queries.has_account):
            await database.write(lambda connection: queries.make_default_account(connection, clock()))
        yield Store(database, data_dir, clock)
    finally:
        await database.close()


class Store:
    """What a server remembers. Every method is one transaction.

    Attributes:
        people: who may sign in.
    """

    def __init__(self, database: Database, data_dir: Path, clock: Clock) -> None:
        self._database, self._data_dir, self._clock = database, data_dir, clock
        self.people = People(database, clock)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run parts of other rooms in one transaction that sees one moment."""
        return await self._database.read(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run parts of other rooms in one transaction that commits if `work` returns."""
        return await self._database.write(work)

    def management_key(self) -> PrivateKey:
        """The server's own key, from its file beside the database; made when it is not there."""
        return load_management_key(self._data_dir)

    async def changes(self, interval: float = POLL_INTERVAL) -> AsyncIterator[None]:
        """Yield whenever the database was written to, by whomever; looks every `interval` seconds. One caller at a time."""
        known = await self._database.version()
        while True:
            await asyncio.sleep(interval)
            version = await self._database.version()
            if version != known:
                known = version
                yield

    # ---- accounts

    async def account(self) -> Account:
        """The account that this server serves; there is one."""
        return await self._database.read(queries.first_account)

    async def set_network(self, network: IPv4Network, dns_domain: str) -> Account:
        """Fix where addresses come from and under which domain names stand.

        Raises NetworkRangeRefused if machines have addresses in another range already: theirs never change.
        """
        now = self._clock()
        return await self._database.write(lambda connection: queries.set_network(connection, network, dns_domain, now))

    async def set_session_lifetime(self, lifetime: float | None) -> Account:
        """Fix for how many seconds a sign-in lets a person's machine be in; None: for ever."""
        now = self._clock()
        return await self._database.write(lambda connection: queries.set_session_lifetime(connection, lifetime, now))

    async def serials(self) -> dict[str, int]:
        """The serial of each account: another number when its network map may look otherwise."""
        return await self._database.read(queries.serials)

    async def members(self, account_id: str) -> tuple[Account, list[Peer]]:
        """The account and its peers, of the same moment, in a lasting order."""
        return await self._database.read(lambda connection: queries.members(connection, account_id))

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
        record = SetupKey(
            id=queries.new_id(),
            account_id=(await self.account()).id,
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
        await self._database.write(lambda connection: queries.add_setup_key(connection, record, setup_keys.hash_of(key)))
        return NewSetupKey(key, record)

    async def setup_keys(self) -> list[SetupKey]:
        return await self._database.read(queries.all_setup_keys)

    async def revoke_setup_key(self, key_id: str) -> SetupKey:
        """From now on it registers nobody; machines that it let in stay. Raises NoSuchSetupKey."""
        now = self._clock()
        revoked = await self._database.write(lambda connection: queries.revoke_setup_key(connection, key_id, now))
        if revoked is None:
            raise NoSuchSetupKey("there is no setup key with this id")
        return revoked

    # ---- peers

    async def find_peer(self, public_key: PublicKey) -> Peer | None:
        return await self._database.read(lambda connection: registration.find_peer(connection, public_key))

    async def register(self, public_key: PublicKey, key: str, meta: PeerMeta) -> Peer:
        """Let a machine in: its key's use, address and name in one transaction; one that is in already stays as it is.

        A key that is no good costs a read, for anybody may try; only one that is takes the write lock, and is checked again.

        Raises SetupKeyMalformed, -Unknown, -Expired, -Revoked, -UsedUp (protocol.errors) or AddressesUsedUp.
        """
        key_hash, peer_id, now = setup_keys.hash_of(key), queries.new_id(), self._clock()
        await self._database.read(lambda connection: registration.check(connection, public_key, key_hash, now))
        return await self._database.write(
            lambda connection: registration.register(connection, public_key, key_hash, meta, peer_id=peer_id, now=now)
        )

    async def update_meta(self, peer: Peer, meta: PeerMeta) -> None:
        """Keep what the machine says of itself; writes nothing if that is what it said before."""
        if meta != peer.meta:
            now = self._clock()
            await self._database.write(lambda connection: queries.update_meta(connection, peer, meta, now))

    async def touch(self, peer_ids: Collection[str]) -> None:
        """Note that these machines are here now."""
        seen, now = sorted(peer_ids), self._clock()
        await self._database.write(lambda connection: queries.touch(connection, seen, now))

    async def ephemeral_peers(self) -> dict[str, float]:
        """When each ephemeral peer was last seen, by its id."""
        return await self._database.read(queries.ephemeral_peers)

    async def remove_peers(self, peer_ids: Collection[str]) -> None:
        """Forget these machines; ones that are gone already are no error."""
        gone, now = sorted(peer_ids), self._clock()
        await self._database.write(lambda connection: queries.remove_peers(connection, gone, now))

    async def find_by_id_or_name(self, word: str) -> Peer:
        """The machine with this id, name or full name. Raises NoSuchPeer."""
        found = await self._database.read(lambda connection: queries.find_by_id_or_name(connection, word))
        if found is None:
            raise NoSuchPeer(f"there is no machine called {word}")
        return found
