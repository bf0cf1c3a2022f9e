import asyncio
from collections.abc import AsyncIterator
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from sqlalchemy import Connection, update

from protocol.errors import UsageError
from protocol.keys import PrivateKey
from server.store import PeerMeta, Role, Store, grants, open_store, tables
from server.store.errors import EmailTaken, NoSuchUser
from server.store.grants import AuthorizationCode, BrowserSession, DeviceCode, OneTimeLink, RefreshToken, SignIn
from server.store.people import canonical_email, canonical_name

NOW = 1_800_000_000.0


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path / "data", clock=lambda: NOW) as opened:
        await opened.set_network(IPv4Network("100.92.0.0/16"), "covey.internal")
        yield opened


@pytest.mark.parametrize("text", ["", "alice", "@example.org", "alice@", "a@b@c", "a b@c", "a@b\n", "<a@b>", "a@" + "x" * 253])
def test_what_is_no_email_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        canonical_email(text + "x" if text.endswith("\n") else text)


def test_addresses_and_names_are_kept_in_one_form() -> None:
    assert canonical_email("  Alice@Example.ORG\n") == "alice@example.org"
    assert canonical_name("  Alice\n\tA.\x00 ", "") == "Alice A."
    assert canonical_name(" ", "alice@example.org") == "alice"
    assert len(canonical_name("x" * 500, "")) == 100


async def test_an_address_is_one_person_of_ours_and_others_may_have_it_elsewhere(store: Store) -> None:
    alice = await store.people.add_user("Alice@example.org", "Alice", Role.USER, "a hash")
    assert (alice.issuer, alice.subject, alice.has_password) == ("", alice.id, True)
    with pytest.raises(EmailTaken):
        await store.people.add_user("alice@EXAMPLE.org", "", Role.USER, None)
    for subject in ("1", "2"):
        await store.people.add_external_user("https://id.example.org", subject, "alice@example.org", "")
    assert len(await store.people.users()) == 3
    assert await store.people.find_by_email("ALICE@example.org") == alice
    assert await store.people.find_user(alice.id) == alice
    assert await store.people.user_by_subject("", alice.id) == alice


async def test_the_first_person_of_another_provider_owns_the_network(store: Store) -> None:
    people = store.people
    first, again = await asyncio.gather(*(people.add_external_user("https://id", "1", "A@b.c", "A") for _ in range(2)))
    second = await people.add_external_user("https://id", "2", "", "")
    assert first == again
    assert (first.role, first.email, second.role, second.email) == (Role.OWNER, "a@b.c", Role.USER, "")
    assert await people.user_by_subject("https://other", "1") is None


async def test_blocking_shows_in_the_network_map_once_and_signs_out(store: Store) -> None:
    alice = await store.people.add_user("alice@example.org", "", Role.USER, "a hash")
    token, session = grants.new_secret(), grants.new_secret()
    sign_in = SignIn("one", alice.id, "covey", "openid", NOW, NOW + 10)

    def sign_her_in(connection: Connection) -> None:
        grants.add_sign_in(connection, sign_in, NOW)
        grants.add_refresh_token(connection, RefreshToken(grants.hash_of(token), "one", NOW), NOW + 10)
        grants.add_session(connection, BrowserSession(grants.hash_of(session), alice.id, NOW, NOW + 10), NOW)

    await store.write(sign_her_in)
    before = (await store.account()).serial
    blocked = await store.people.set_blocked(alice.id, True)
    after = (await store.account()).serial
    assert (blocked.is_blocked, blocked.blocked_at, after > before) == (True, NOW, True)
    assert await store.read(lambda connection: grants.find_refresh_token(connection, token)) is None
    assert await store.read(lambda connection: grants.find_session(connection, session)) is None

    assert await store.people.set_blocked(alice.id, True) == blocked
    assert (await store.account()).serial == after
    assert not (await store.people.set_blocked(alice.id, False)).is_blocked
    assert (await store.account()).serial > after


async def test_with_a_person_go_their_machines_and_no_others(store: Store) -> None:
    alice = await store.people.add_user("alice@example.org", "", Role.USER, None)
    key = (await store.create_setup_key(name="office", reusable=True)).key
    hers, other = [await store.register(PrivateKey.generate().public, key, PeerMeta()) for _ in range(2)]
    own = update(tables.peers).where(tables.peers.c.id == hers.id).values(user_id=alice.id)
    await store.write(lambda connection: connection.execute(own))
    before = (await store.account()).serial

    await store.people.remove_user(alice.id)

    account, left = await store.members((await store.account()).id)
    assert [peer.id for peer in left] == [other.id]
    assert account.serial > before
    assert await store.people.users() == []


async def test_who_is_not_there_is_said_not_to_be(store: Store) -> None:
    for call in (store.people.set_blocked("nobody", True), store.people.remove_user("nobody"), store.people.find_by_email("x@y")):
        with pytest.raises(NoSuchUser):
            await call
    assert await store.people.find_user("nobody") is None


async def test_a_token_is_spent_once_by_whoever_comes_first(store: Store, tmp_path: Path) -> None:
    async with open_store(tmp_path / "data", clock=lambda: NOW) as other:
        spent = await asyncio.gather(*(one.people.spend_jwt("a hash", NOW + 10) for one in (store, other) * 5))
    assert sum(spent) == 1
    assert await store.people.spend_jwt("another", NOW - 1)
    assert await store.people.spend_jwt("a third", NOW + 10)
    assert not await store.people.spend_jwt("a hash", NOW + 10)


async def test_a_hash_is_renewed_only_if_it_is_still_the_same(store: Store) -> None:
    alice = await store.people.add_user("alice@example.org", "", Role.USER, "first")
    await store.people.renew_hash(alice.id, "another", "second")
    rows = await store.read(lambda connection: connection.execute(tables.users.select()).mappings().all())
    assert rows[0]["password_hash"] == "first"


async def test_a_new_password_ends_codes_and_links_that_wait(store: Store) -> None:
    alice = await store.people.add_user("alice@example.org", "", Role.USER, "a hash")
    account = (await store.account()).id
    code, device, waiting, link = (grants.new_secret() for _ in range(4))

    def begin(connection: Connection) -> None:
        grants.add_code(
            connection,
            AuthorizationCode(
                grants.hash_of(code), alice.id, "covey", "http://127.0.0.1/callback", "openid", "", "", NOW, NOW + 60
            ),
            NOW,
        )
        allowed = DeviceCode(grants.hash_of(device), "1", "covey", "openid", 5, NOW + 600, user_id=alice.id, auth_time=NOW)
        grants.add_device_code(connection, allowed, NOW)
        grants.add_device_code(connection, DeviceCode(grants.hash_of(waiting), "2", "covey", "openid", 5, NOW + 600), NOW)
        reset = OneTimeLink(grants.hash_of(link), account, "reset", alice.id, Role.USER, NOW, NOW + 60)
        grants.add_link(connection, reset, NOW)

    await store.write(begin)
    await store.people.set_password(alice.id, "another hash")
    assert await store.read(lambda connection: grants.find_code(connection, code)) is None
    assert await store.read(lambda connection: grants.find_device_code(connection, device)) is None
    assert await store.read(lambda connection: grants.find_link(connection, link)) is None
    assert await store.read(lambda connection: grants.find_device_code(connection, waiting)) is not None


async def test_who_is_meant_is_never_guessed(store: Store) -> None:
    people = store.people
    first, second = [await people.add_external_user("https://id", subject, "a@b.c", "") for subject in "12"]
    await people.add_external_user("https://id", "3", first.id, "")  # people may call themselves anything there
    with pytest.raises(UsageError):
        await people.find_by_email("a@b.c")
    assert await people.find_by_email(first.id) == first
    assert await people.find_by_email(second.id) == second


async def test_an_address_from_elsewhere_holds_nothing_that_a_terminal_obeys(store: Store) -> None:
    person = await store.people.add_external_user("https://id", "1", "\x1b]0;owned\x07a@b.c\n", "")
    assert person.email == "]0;owneda@b.c"
