import asyncio
import sqlite3
from collections.abc import AsyncIterator
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from protocol.errors import SetupKeyUnknown, SetupKeyUsedUp
from protocol.keys import PrivateKey
from server.store import PeerMeta, Store, open_store
from server.store.errors import (
    AddressesUsedUp,
    DatabaseUnreadable,
    DataFolderUnusable,
    ManagementKeyUnreadable,
    NetworkRangeRefused,
    NoServerHere,
    NoSuchPeer,
    NoSuchSetupKey,
)
from server.store.setup_keys import new_key

NETWORK = IPv4Network("100.92.0.0/16")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path / "data") as store:
        await store.set_network(NETWORK, "covey.internal")
        yield store


async def test_folder_database_and_key_are_readable_by_their_owner_only(store: Store, tmp_path: Path) -> None:
    store.management_key()
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    modes = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "data").iterdir()}
    assert modes == dict.fromkeys(("covey.db", "covey.db-wal", "covey.db-shm", "management.key"), 0o600)


async def test_a_folder_that_others_use_as_well_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "theirs").touch()
    tmp_path.chmod(0o755)
    async with open_store(tmp_path):
        assert tmp_path.stat().st_mode & 0o777 == 0o755


async def test_the_management_key_stays_and_a_damaged_one_is_said_to_be(store: Store, tmp_path: Path) -> None:
    assert store.management_key().raw == store.management_key().raw
    (tmp_path / "data" / "management.key").write_text("junk")
    with pytest.raises(ManagementKeyUnreadable):
        store.management_key()


async def test_only_the_hash_of_a_setup_key_is_kept(store: Store, tmp_path: Path) -> None:
    made = await store.create_setup_key(name="office")
    kept = b"".join(file.read_bytes() for file in (tmp_path / "data").glob("covey.db*"))
    assert made.record.hint.encode() in kept
    assert made.key.encode() not in kept
    assert made.key not in repr(made)


async def test_serials_grow_with_what_the_map_shows_and_only_with_that(store: Store) -> None:
    key = (await store.create_setup_key(name="office", reusable=True)).key
    before = (await store.account()).serial
    peer = await store.register(PrivateKey.generate().public, key, PeerMeta(hostname="alice", netbird_version="0.77.1"))
    joined = (await store.account()).serial
    await store.touch([peer.id])
    await store.update_meta(peer, PeerMeta(hostname="other", netbird_version="0.77.1"))
    assert (await store.account()).serial == joined > before
    await store.update_meta(peer, PeerMeta(hostname="other", netbird_version="0.78.0"))
    updated = (await store.account()).serial
    await store.remove_peers([peer.id, "nobody"])
    assert (await store.account()).serial > updated > joined


async def test_a_full_range_is_said_to_be_full_and_the_key_is_not_spent(store: Store) -> None:
    await store.set_network(IPv4Network("100.92.0.0/29"), "covey.internal")
    key = (await store.create_setup_key(name="office", reusable=True)).key
    peers = [await store.register(PrivateKey.generate().public, key, PeerMeta()) for _ in range(6)]
    assert {str(peer.address) for peer in peers} == {f"100.92.0.{number}" for number in range(1, 7)}

    with pytest.raises(AddressesUsedUp):
        await store.register(PrivateKey.generate().public, key, PeerMeta())

    assert [found.used for found in await store.setup_keys()] == [6]


async def test_two_processes_cannot_spend_a_key_twice(store: Store, tmp_path: Path) -> None:
    key = (await store.create_setup_key(name="once")).key
    async with open_store(tmp_path / "data") as other:
        attempts = (s.register(PrivateKey.generate().public, key, PeerMeta()) for s in (store, other) * 10)
        results = await asyncio.gather(*attempts, return_exceptions=True)
    assert sum(isinstance(result, SetupKeyUsedUp) for result in results) == 19


async def test_writers_wait_for_a_long_read(store: Store, tmp_path: Path) -> None:
    reader = sqlite3.connect(tmp_path / "data" / "covey.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM peers").fetchall()
    key = (await store.create_setup_key(name="office", reusable=True)).key
    await asyncio.gather(*(store.register(PrivateKey.generate().public, key, PeerMeta()) for _ in range(30)))
    assert reader.execute("SELECT count(*) FROM peers").fetchone() == (0,)
    reader.close()


async def test_a_key_that_is_no_good_is_refused_without_waiting_for_the_write_lock(store: Store, tmp_path: Path) -> None:
    key = (await store.create_setup_key(name="office")).key
    known = await store.register(PrivateKey.generate().public, key, PeerMeta())
    writer = sqlite3.connect(tmp_path / "data" / "covey.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    with pytest.raises(SetupKeyUsedUp):
        await store.register(PrivateKey.generate().public, key, PeerMeta())
    with pytest.raises(SetupKeyUnknown):
        await store.register(PrivateKey.generate().public, new_key(), PeerMeta())
    writer.close()
    assert await store.register(known.public_key, key, PeerMeta()) == known


async def test_what_another_process_writes_is_noticed(store: Store, tmp_path: Path) -> None:
    changes = store.changes(interval=0.001)
    change = asyncio.ensure_future(anext(changes))
    async with asyncio.timeout(20):
        while not change.done():
            async with open_store(tmp_path / "data") as other:
                await other.create_setup_key(name="from outside")
            await asyncio.sleep(0.01)


async def test_a_range_in_which_machines_have_addresses_does_not_change(store: Store) -> None:
    await store.set_network(IPv4Network("100.93.0.0/16"), "covey.internal")
    key = (await store.create_setup_key(name="office")).key
    await store.register(PrivateKey.generate().public, key, PeerMeta())
    with pytest.raises(NetworkRangeRefused):
        await store.set_network(NETWORK, "covey.internal")


async def test_machines_and_keys_that_are_not_there_are_said_not_to_be(store: Store) -> None:
    with pytest.raises(NoSuchPeer):
        await store.find_by_id_or_name("nobody")
    with pytest.raises(NoSuchSetupKey):
        await store.revoke_setup_key("none")


async def test_a_revoked_key_keeps_the_time_of_its_first_revocation(store: Store) -> None:
    made = await store.create_setup_key(name="office")
    first = await store.revoke_setup_key(made.record.id)
    assert first.revoked_at is not None
    assert await store.revoke_setup_key(made.record.id) == first


async def test_places_without_a_usable_database_are_said_to_be_that(tmp_path: Path) -> None:
    with pytest.raises(NoServerHere):
        async with open_store(tmp_path, must_exist=True):
            pass
    (tmp_path / "covey.db").write_bytes(b"this is no database, whatever its name says" * 100)
    with pytest.raises(DatabaseUnreadable):
        async with open_store(tmp_path):
            pass
    (tmp_path / "file").touch()
    with pytest.raises(DataFolderUnusable):
        async with open_store(tmp_path / "file"):
            pass
