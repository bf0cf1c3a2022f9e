import asyncio
import json
import logging
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.login import store as store_module
from app.login.store import FILE, Kept, TokenStore

ALICE = Kept("refresh-1", "https://id.example.org/token", "covey", "alice@example.org", 100.0)
NEWER = Kept("refresh-2", ALICE.token_endpoint, "covey", "alice@example.org", 200.0)


class Keyring:
    """A backend that works; `failure` is raised instead."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.failure: Exception | None = None
        self.asked = 0

    def get_password(self, service: str, username: str) -> str | None:
        self._fail()
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._fail()
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._fail()
        del self.kept[service, username]

    def _fail(self) -> None:
        self.asked += 1
        if self.failure is not None:
            raise self.failure


class BlockingKeyring(Keyring):
    """Waits for a person who does not come."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()

    def _fail(self) -> None:
        super()._fail()
        self.released.wait(30)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "share" / "covey"


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def blocking() -> Iterator[BlockingKeyring]:
    keyring = BlockingKeyring()
    yield keyring
    keyring.released.set()


async def test_the_keyring_is_used_where_there_is_one(folder: Path, told: list[str]) -> None:
    keyring = Keyring()
    store = TokenStore(folder, keyring=keyring, on_file=told.append)
    await store.save("default", ALICE)
    assert await store.load("default") == ALICE
    assert await store.load("work") is None
    assert list(keyring.kept) == [("Covey", "default")]
    assert (told, folder.exists()) == ([], False)
    await store.forget("default")
    await store.forget("default")
    assert (await store.load("default"), keyring.kept) == (None, {})


async def test_without_a_keyring_a_file_of_ones_own_is_used_and_said_once(folder: Path, told: list[str]) -> None:
    store = TokenStore(folder, on_file=told.append)  # no system of a test has a keyring
    await store.save("default", ALICE)
    await store.save("work", NEWER)
    await TokenStore(folder, on_file=told.append).save("default", NEWER)
    assert await TokenStore(folder).load("default") == NEWER
    assert await store.load("work") == NEWER
    assert stat.S_IMODE((folder / FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    [sentence] = told
    assert str(folder / FILE) in sentence
    assert "no keyring" in sentence
    await store.forget("default")
    await store.forget("work")
    assert list(folder.iterdir()) == []


async def test_a_keyring_that_is_locked_is_not_waited_for(folder: Path, told: list[str], blocking: BlockingKeyring) -> None:
    store = TokenStore(folder, keyring=blocking, on_file=told.append, keyring_timeout=0.05)
    async with asyncio.timeout(20):
        await store.save("default", ALICE)
        assert await store.load("default") == ALICE
    assert blocking.asked == 1, "a person is asked to unlock it once"
    assert "locked" in told[0]


@pytest.mark.parametrize("failure", [RuntimeError("no bus"), OSError(), ValueError("\0")])
async def test_a_keyring_that_fails_is_as_none(folder: Path, told: list[str], failure: Exception) -> None:
    keyring = Keyring()
    keyring.failure = failure
    store = TokenStore(folder, keyring=keyring, on_file=told.append)
    await store.save("default", ALICE)
    assert await store.load("default") == ALICE
    assert len(told) == 1


async def test_of_two_records_the_newer_counts_and_the_older_goes(folder: Path) -> None:
    keyring = Keyring()
    store = TokenStore(folder, keyring=keyring)
    await store.save("default", ALICE)
    keyring.failure = RuntimeError("locked meanwhile")
    await store.save("default", NEWER)
    keyring.failure = None
    assert await store.load("default") == NEWER
    await store.save("default", NEWER)
    assert not (folder / FILE).exists()


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"\xff", b"[" * 100_000, b"{}", b'{"default": 5}', b'{"default": "{}"}',
        json.dumps({"default": json.dumps({"refresh_token": 5})}).encode(),
    ],
)  # fmt: skip
async def test_a_file_that_is_damaged_holds_nothing_and_is_replaced(folder: Path, content: bytes) -> None:
    folder.mkdir(parents=True)
    (folder / FILE).write_bytes(content)
    store = TokenStore(folder)
    assert await store.load("default") is None
    await store.save("default", ALICE)
    assert await store.load("default") == ALICE


async def test_a_place_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = TokenStore(tmp_path / "file" / "covey")
    with pytest.raises(OSError, match="file"):
        await store.save("default", ALICE)
    assert await store.load("default") is None


async def test_no_token_is_logged_or_shown(folder: Path, told: list[str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    keyring = Keyring()
    keyring.failure = RuntimeError(ALICE.refresh_token)
    await TokenStore(folder, keyring=keyring, on_file=told.append).save("default", ALICE)
    assert ALICE.refresh_token not in caplog.text + repr(ALICE) + told[0]


async def test_programs_renew_one_after_the_other(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "LOCK_TIMEOUT", 0.1)
    one, other = TokenStore(folder), TokenStore(folder)
    async with one.locked():
        with pytest.raises(TimeoutError):
            async with other.locked():
                pass
    async with other.locked():
        pass
