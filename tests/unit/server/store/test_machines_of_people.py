"""Machines that belong to persons: who may sign in on them, and until when."""

from collections.abc import AsyncIterator
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from protocol.errors import SignInRefused, UserBlocked
from protocol.keys import PrivateKey
from server.store import Peer, PeerMeta, Role, Store, User, open_store

META = PeerMeta(hostname="laptop")


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[Store]:
    async with open_store(tmp_path / "data", clock=clock) as store:
        await store.set_network(IPv4Network("100.92.0.0/16"), "covey.internal")
        yield store


@pytest.fixture
async def alice(store: Store) -> User:
    return await store.people.add_user("alice@example.org", "Alice", Role.OWNER, "hash")


async def serial(store: Store) -> int:
    return (await store.account()).serial


async def member(store: Store) -> Peer:
    _, (peer,) = await store.members((await store.account()).id)
    return peer


async def test_a_sign_in_registers_a_machine_that_is_the_persons_own(store: Store, alice: User, clock: Clock) -> None:
    key, before = PrivateKey.generate().public, await serial(store)

    peer = await store.people.sign_in(alice.id, key, META)

    assert peer == await store.find_peer(key) == await member(store)
    assert (peer.user_id, peer.last_login, peer.name) == (alice.id, clock.now, "laptop")
    assert (await store.account()).session_end(peer) == clock.now + 86400
    assert await serial(store) > before
    found = await store.people.find_user(alice.id)
    assert found is not None
    assert found.last_login == clock.now


async def test_signing_in_again_extends_quietly_and_revives_audibly(store: Store, alice: User, clock: Clock) -> None:
    key = PrivateKey.generate().public
    first = await store.people.sign_in(alice.id, key, META)
    before = await serial(store)

    clock.now += 86399
    extended = await store.people.sign_in(alice.id, key, META)
    assert (extended.id, extended.address, extended.last_login) == (first.id, first.address, clock.now)
    assert await serial(store) == before

    clock.now += 86400
    await store.people.sign_in(alice.id, key, META)
    assert await serial(store) > before


async def test_sessions_may_be_shorter_or_without_an_end(store: Store, alice: User, clock: Clock) -> None:
    peer = await store.people.sign_in(alice.id, PrivateKey.generate().public, META)
    assert (await store.set_session_lifetime(60.0)).session_end(peer) == clock.now + 60
    before = await serial(store)
    assert (await store.set_session_lifetime(None)).session_end(peer) is None
    assert await serial(store) > before


async def test_a_machine_of_a_setup_key_has_no_session_and_nobody_takes_it_over(store: Store, alice: User) -> None:
    key = PrivateKey.generate().public
    peer = await store.register(key, (await store.create_setup_key(name="tests")).key, META)
    assert (await store.account()).session_end(peer) is None
    with pytest.raises(SignInRefused, match="by a setup key"):
        await store.people.sign_in(alice.id, key, META)
    assert await member(store) == peer


async def test_another_person_does_not_take_a_machine_over(store: Store, alice: User) -> None:
    bob = await store.people.add_user("bob@example.org", "Bob", Role.USER, "hash")
    key = PrivateKey.generate().public
    peer = await store.people.sign_in(alice.id, key, META)
    with pytest.raises(SignInRefused, match="another person"):
        await store.people.sign_in(bob.id, key, META)
    assert await member(store) == peer


async def test_blocked_and_removed_persons_sign_in_nowhere(store: Store, alice: User) -> None:
    key = PrivateKey.generate().public
    await store.people.sign_in(alice.id, key, META)
    await store.people.set_blocked(alice.id, True)
    assert (await member(store)).is_blocked
    with pytest.raises(UserBlocked):
        await store.people.sign_in(alice.id, PrivateKey.generate().public, META)

    await store.people.set_blocked(alice.id, False)
    assert not (await member(store)).is_blocked
    assert (await store.find_by_id_or_name("laptop")).user_id == alice.id

    await store.people.remove_user(alice.id)
    assert await store.find_peer(key) is None
    with pytest.raises(SignInRefused, match="not known here"):
        await store.people.sign_in(alice.id, key, META)
