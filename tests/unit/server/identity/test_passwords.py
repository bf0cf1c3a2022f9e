import asyncio

import pytest
from argon2 import PasswordHasher

from protocol.errors import UsageError
from server.identity import passwords as module
from server.identity.passwords import LONGEST, SHORTEST, Passwords, TooBusy, check_password


class CountingHasher(PasswordHasher):
    """Counts how often it worked."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.verified = 0

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # type: ignore[override]
        self.verified += 1
        return super().verify(hash, password)


@pytest.fixture
def hasher() -> CountingHasher:
    return CountingHasher()


async def test_a_password_is_kept_as_argon2id_and_known_again(hasher: CountingHasher) -> None:
    passwords = Passwords(hasher)
    kept = await passwords.hash("correct horse")
    assert kept.startswith("$argon2id$")
    assert await passwords.verify(kept, "correct horse")
    assert not await passwords.verify(kept, "correct horses")


async def test_by_default_a_hash_costs_what_the_rfc_wants() -> None:
    assert "$m=65536,t=3,p=4$" in await Passwords().hash("correct horse")  # RFC 9106, section 4, second choice


async def test_letters_that_look_the_same_are_the_same(hasher: CountingHasher) -> None:
    passwords = Passwords(hasher)
    assert await passwords.verify(await passwords.hash("Zu\u0308rich weather"), "Z\u00fcrich weather")


async def test_an_unknown_person_costs_as_much_as_a_known_one(hasher: CountingHasher) -> None:
    passwords = Passwords(hasher)
    kept = await passwords.hash("correct horse")
    for password_hash in (kept, None, "damaged", ""):
        before = hasher.verified
        await passwords.verify(password_hash, "a guess")
        assert hasher.verified == before + 1
    assert not await passwords.verify(None, "nobody has this one")


@pytest.mark.parametrize("password", ["", "x" * (SHORTEST - 1), "x" * (LONGEST + 1)])
async def test_a_password_is_neither_short_nor_endless(hasher: CountingHasher, password: str) -> None:
    with pytest.raises(UsageError):
        await Passwords(hasher).hash(password)


def test_any_characters_make_a_password() -> None:
    for password in ("x" * SHORTEST, "пароль пароль", "🔑" * SHORTEST, " " * SHORTEST, "\udcff" * SHORTEST):
        check_password(password)


async def test_few_are_hashed_at_once_and_not_too_many_wait(hasher: CountingHasher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 5)
    passwords = Passwords(hasher)
    results = await asyncio.gather(*(passwords.hash("correct horse") for _ in range(9)), return_exceptions=True)
    assert sum(isinstance(result, TooBusy) for result in results) == 4
    assert await passwords.hash("correct horse")
