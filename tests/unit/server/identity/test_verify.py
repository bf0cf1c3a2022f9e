"""Tokens of all kinds, on a virtual clock."""

import asyncio
import base64
import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import KeySet

from protocol.errors import ClockOff, CoveyError, SignInRefused, SignInUnavailable
from protocol.sign_in import MAX_TOKEN
from server.identity.keys import MAX_AGE, REFETCH_INTERVAL, Keys
from server.identity.verify import LEEWAY, Person, Verifier, span
from server.store import open_store
from tests.unit.server.identity.tokens import (
    AUDIENCE,
    EC,
    ED,
    ISSUER,
    NOW,
    OTHER_EC,
    RSA,
    SYMMETRIC,
    claims,
    key_set,
    token,
)

DAY = 86400.0


class World:
    """A provider whose keys may change, a clock, and a memory of used tokens."""

    def __init__(self) -> None:
        self.now, self.keys, self.reads, self.is_down = NOW, key_set(EC, RSA, ED), 0, False
        self.spent: dict[str, float] = {}
        self.verifier = Verifier(ISSUER, AUDIENCE, Keys(self.fetch, clock=lambda: self.now), self.spend, clock=lambda: self.now)

    async def fetch(self) -> KeySet:
        self.reads += 1
        if self.is_down:
            raise SignInUnavailable("it does not answer")
        return self.keys

    async def spend(self, token_hash: str, until: float) -> bool:
        if token_hash in self.spent:
            return False
        self.spent[token_hash] = until
        return True

    async def accepts(self, text: str) -> bool:
        try:
            await self.verifier.verify(text)
        except SignInRefused:
            return False
        return True


@pytest.fixture
def world() -> World:
    return World()


async def test_a_good_token_tells_who_it_is(world: World) -> None:
    assert await world.verifier.verify(token()) == Person("248289761001", "alice@example.org", "Alice")
    assert list(world.spent.values()) == [NOW + 600 + LEEWAY]


@pytest.mark.parametrize(("key", "alg"), [(EC, "ES256"), (RSA, "RS256"), (RSA, "PS256"), (ED, "EdDSA"), (ED, "Ed25519")])
async def test_every_allowed_method_is_verified(world: World, key: Any, alg: str) -> None:
    await world.verifier.verify(token(key=key, alg=alg))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"email": None, "preferred_username": "alice"}, Person("248289761001", "alice", "Alice")),
        ({"email": None, "upn": "alice@corp", "name": None}, Person("248289761001", "alice@corp", "")),
        ({"email": 5, "name": ["Alice"]}, Person("248289761001", "", "")),
        ({"aud": ["account", AUDIENCE]}, Person("248289761001", "alice@example.org", "Alice")),
    ],
)
async def test_providers_differ_in_what_they_say(world: World, content: dict[str, Any], expected: Person) -> None:
    assert await world.verifier.verify(token(claims(**content))) == expected


REFUSALS: Sequence[tuple[str, str]] = [
    (token(claims(iss="https://other.example.org")), "of another provider, https://other.example.org;"),
    (token(claims(iss=ISSUER + "/")), "of another provider"),
    (token(claims(iss=None)), "of another provider, none;"),
    (token(claims(aud="account")), "of another server or app: it names account, not covey"),
    (token(claims(aud=["a", "b"])), "it names a, b, not covey"),
    (token(claims(aud=None)), "it names none"),
    (token(claims(aud={"covey": 1})), "of another server or app"),
    (token(claims(exp=int(NOW) - 91)), "ran out 91 s ago"),
    (token(claims(exp=None)), "has no end"),
    (token(claims(exp="never")), "its exp is no time"),
    (token(claims(exp=True)), "its exp is no time"),
    (token(claims(exp=10**400)), "its exp is no time"),
    (token(claims(iat=float("inf"))), "its iat is no time"),
    (token(claims(nbf=float("nan"))), "its nbf is no time"),
    (token(claims(sub=None)), "does not say whose it is"),
    (token(claims(sub="")), "does not say whose it is"),
    (token(claims(sub="a\nb")), "does not say whose it is"),
    (token(claims(sub="s" * 256)), "does not say whose it is"),
    (token(claims(sub=7)), "does not say whose it is"),
    (token(key=OTHER_EC), "a key that the provider does not have"),
    (token(key=OTHER_EC, kid="ec"), "the signature of this sign-in token is wrong"),
    (token(kid="rsa"), "not signed as its key wants it"),
    (token(key=SYMMETRIC, alg="HS256", kid="ec"), "by the method HS256"),
    (token(key=RSA, alg="RS512"), "by the method RS512"),
    (token(crit=["kid"]), "extensions"),
    ("", "no sign-in token"),
    ("a.b", "no sign-in token"),
    ("a.b.c.d", "no sign-in token"),
    ("ü.b.c", "no sign-in token"),
    ("x" * (MAX_TOKEN + 1), "too long"),
    (".".join((token().split(".")[0], base64.urlsafe_b64encode(b"[" * 9000).decode(), "x")), "no sign-in token"),
    (".".join((base64.urlsafe_b64encode(b"[1]").decode(), token().split(".")[1], "x")), "not what a JWT has"),
]


@pytest.mark.parametrize(("text", "sentence"), REFUSALS, ids=[sentence for _, sentence in REFUSALS])
async def test_every_refusal_has_its_own_sentence_and_none_costs_the_token(world: World, text: str, sentence: str) -> None:
    with pytest.raises(SignInRefused) as caught:
        await world.verifier.verify(text)
    assert sentence in str(caught.value)
    assert caught.value.hint.endswith(".")
    assert not world.spent


async def test_a_token_without_a_signature_is_refused(world: World) -> None:
    header = base64.urlsafe_b64encode(json.dumps({"alg": "none"}).encode()).decode().rstrip("=")
    with pytest.raises(SignInRefused, match="by the method none"):
        await world.verifier.verify(f"{header}.{token().split('.')[1]}.")


async def test_a_changed_token_is_refused(world: World) -> None:
    header, _, signature = token().split(".")
    changed = base64.urlsafe_b64encode(json.dumps(claims(sub="somebody else")).encode()).decode().rstrip("=")
    with pytest.raises(SignInRefused, match="signature"):
        await world.verifier.verify(f"{header}.{changed}.{signature}")


@pytest.mark.parametrize("text", ["covey\x1b[31m", "https://" + "x" * 5000])
async def test_what_a_stranger_wrote_is_shown_short_and_plain(world: World, text: str) -> None:
    with pytest.raises(SignInRefused) as caught:
        await world.verifier.verify(token(claims(iss=text)))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


@given(
    st.text(max_size=200)
    | st.lists(st.binary(max_size=60).map(lambda part: base64.urlsafe_b64encode(part).decode())).map(".".join)
)
def test_whatever_comes_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(CoveyError):
        asyncio.run(World().verifier.verify(text))


# ---- times


async def test_clocks_may_differ_by_ninety_seconds(world: World) -> None:
    await world.verifier.verify(token(claims(exp=int(NOW) - 90)))
    await world.verifier.verify(token(claims(iat=int(NOW) + 90, nbf=int(NOW) + 90)))


@pytest.mark.parametrize(
    ("off", "words"), [(91, "91 s"), (15 * 60, "15 min"), (5 * 3600, "5 h"), (DAY * 1.1, "26 h"), (9 * DAY, "9 days")]
)
async def test_a_token_from_the_future_says_by_how_much_the_clocks_differ(world: World, off: float, words: str) -> None:
    for content in (claims(NOW + off), claims(nbf=int(NOW + off))):
        with pytest.raises(ClockOff) as caught:
            await world.verifier.verify(token(content))
        assert f"the clock of this server or of the provider is off by {words}" in str(caught.value)
        assert "date -u" in caught.value.hint
    assert not world.spent


async def test_a_token_that_ran_out_long_ago_hints_at_a_clock_that_is_ahead(world: World) -> None:
    with pytest.raises(ClockOff, match=r"ran out 24 h ago; if it is fresh, the clock of this server or .* is off by 24 h"):
        await world.verifier.verify(token(claims(NOW - DAY)))
    with pytest.raises(SignInRefused, match="ran out 20 min ago"):
        await world.verifier.verify(token(claims(NOW - 1800)))


def test_lengths_of_time_are_words() -> None:
    assert [span(seconds) for seconds in (0.4, 119, 120, 7199, 7200, 172_799, 172_800)] == [
        "0 s",
        "119 s",
        "2 min",
        "120 min",
        "2 h",
        "48 h",
        "2 days",
    ]


# ---- once


async def test_a_token_is_good_once_whatever_its_signature_looks_like(world: World) -> None:
    text = token(key=RSA, alg="RS256")
    assert await world.accepts(text)
    with pytest.raises(SignInRefused, match="used already"):
        await world.verifier.verify(text)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other_end = alphabet[alphabet.index(text[-1]) ^ 1]  # bits that base64url does not use
    assert not await world.accepts(text[:-1] + other_end)
    assert not await world.accepts(text + "==")


async def test_of_many_at_once_with_one_token_one_gets_in(tmp_path: Path) -> None:
    async with open_store(tmp_path, clock=lambda: NOW) as store:
        world = World()
        keys = Keys(world.fetch)
        verifier = Verifier(ISSUER, AUDIENCE, keys, store.people.spend_jwt, clock=lambda: NOW)
        text = token(claims(jti=secrets.token_hex()))
        results = await asyncio.gather(*(verifier.verify(text) for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(result, Person) for result in results) == 1
    assert sum(isinstance(result, SignInRefused) for result in results) == 19
    assert world.reads == 1


# ---- keys


async def test_a_new_key_of_the_provider_is_read_when_a_token_names_it(world: World) -> None:
    await world.verifier.verify(token())
    world.keys, world.now = key_set(OTHER_EC), NOW + REFETCH_INTERVAL
    await world.verifier.verify(token(key=OTHER_EC))
    assert world.reads == 2
    world.now += REFETCH_INTERVAL
    assert not await world.accepts(token(claims(jti="2")))  # of the key that is gone


async def test_tokens_of_unknown_keys_do_not_make_us_ask_the_provider_again_and_again(world: World) -> None:
    bogus = token(key=OTHER_EC)
    for _ in range(50):
        with pytest.raises(SignInRefused, match="does not have"):
            await world.verifier.verify(bogus)
    with pytest.raises(SignInUnavailable, match="asked a moment ago"):  # nobody knows yet, so nobody is refused
        await world.verifier.verify(token(key=OTHER_EC, kid="another"))
    assert world.reads == 1
    assert await world.accepts(token())

    world.now += REFETCH_INTERVAL
    assert not await world.accepts(token(key=OTHER_EC, kid="another"))
    assert world.reads == 2


async def test_while_the_provider_is_down_nobody_is_refused_and_the_token_stays_good(world: World) -> None:
    text, world.is_down = token(), True
    with pytest.raises(SignInUnavailable, match="does not answer"):
        await world.verifier.verify(text)
    with pytest.raises(SignInUnavailable, match="asked a moment ago"):
        await world.verifier.verify(text)
    assert world.reads == 1
    world.is_down, world.now = False, NOW + REFETCH_INTERVAL
    await world.verifier.verify(text)


async def test_known_keys_outlast_a_provider_that_is_down_and_withdrawn_ones_do_not_last(world: World) -> None:
    await world.verifier.verify(token())
    world.now += MAX_AGE
    world.is_down = True
    await world.verifier.verify(token(claims(world.now)))
    await world.verifier.verify(token(claims(world.now, jti="2")))
    assert world.reads == 2  # the second did not wait for the provider again

    world.is_down, world.keys = False, key_set(RSA)
    world.now += REFETCH_INTERVAL
    assert not await world.accepts(token(claims(world.now, jti="3")))


async def test_without_a_kid_the_only_key_counts(world: World) -> None:
    assert not await world.accepts(token(kid=None))
    world.keys, world.now = key_set(EC), NOW + REFETCH_INTERVAL
    assert await world.accepts(token(kid=None))
