import asyncio

from joserfc import jwt

from server.identity.provider import Identity
from server.identity.signing_keys import RETIREMENT, ROTATION, is_due, key_set, published, sign
from server.store import grants
from server.store.grants import SigningKey
from tests.unit.server.identity.browsing import Browser, Clock


def made_at(*times: float) -> list[SigningKey]:
    return [SigningKey(f"key {time}", "", time) for time in times]


def test_a_key_signs_for_thirty_days() -> None:
    assert is_due([], 0.0)
    assert not is_due(made_at(100.0, 0.0), 100.0 + ROTATION - 1)
    assert is_due(made_at(100.0, 0.0), 100.0 + ROTATION)


def test_a_key_stays_published_until_its_successor_is_a_day_old() -> None:
    newer, older, oldest = keys = made_at(3 * RETIREMENT, 1 * RETIREMENT, 0.0)
    assert published(keys, 3 * RETIREMENT) == [newer, older]
    assert published(keys, 4 * RETIREMENT - 1) == [newer, older]
    assert published(keys, 4 * RETIREMENT) == [newer]
    assert published(keys[1:], 2 * RETIREMENT - 1) == [older, oldest]
    assert published([], 0.0) == []


async def test_keys_follow_each_other_and_old_ones_are_forgotten(identity: Identity, browser: Browser, clock: Clock) -> None:
    (first,) = await identity.keys()
    old_token = sign(first, {"sub": "alice"})
    clock.now += ROTATION
    second, still = await identity.keys()
    assert still == first
    assert jwt.decode(old_token, key_set(await identity.keys()), algorithms=["RS256"]).claims == {"sub": "alice"}
    shown = (await browser.get("/oauth2/keys")).json()["keys"]
    assert [key["kid"] for key in shown] == [second.id, first.id]
    assert all(key.keys() == {"kty", "kid", "use", "alg", "n", "e"} for key in shown)
    clock.now += RETIREMENT
    assert await identity.keys() == [second]
    clock.now += ROTATION
    assert len(await identity.keys()) == 2
    assert first not in await identity.store.read(grants.signing_keys)


async def test_two_who_need_the_first_key_at_once_get_the_same(identity: Identity) -> None:
    keys = await asyncio.gather(*(identity.keys() for _ in range(3)))
    assert len({key.id for published_keys in keys for key in published_keys}) == 1


async def test_a_key_keeps_its_secret_when_it_is_shown(identity: Identity) -> None:
    (key,) = await identity.keys()
    assert "PRIVATE" in key.private_key
    assert "PRIVATE" not in repr(key)


async def test_discovery_says_where_everything_is(browser: Browser) -> None:
    document = (await browser.get("/oauth2/.well-known/openid-configuration")).json()
    assert document["issuer"] == "https://203.0.113.10/oauth2"
    assert document["code_challenge_methods_supported"] == ["S256"]
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri", "device_authorization_endpoint", "end_session_endpoint"):
        path = document[name].removeprefix("https://203.0.113.10")
        assert (await browser.client.options(path)).status_code == 405
