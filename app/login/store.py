"""Keeps what renews a sign-in: in the person's keyring, or, where there is none or it is locked, in a file of theirs alone.

A keyring may wait for a person to unlock it, so it is asked in a thread of its own and not for long. Of two records of one
account the newer counts: a keyring that was locked meanwhile holds an old one.
"""

import asyncio
import contextlib
import json
import logging
import os
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from protocol.file_lock import try_lock

log = logging.getLogger(__name__)

SERVICE = "Covey"
FILE, LOCK = "sign-ins.json", "sign-ins.lock"
MAX_FILE = 1024 * 1024  # bytes
KEYRING_TIMEOUT = 8.0  # seconds; a person who is asked to unlock it may do so meanwhile
LEFT_ALONE = 600.0  # seconds
LOCK_TIMEOUT, LOCK_POLL = 30.0, 0.05  # seconds
T = TypeVar("T")


class Keyring(Protocol):
    """As the backends of `keyring` are."""

    def get_password(self, service: str, username: str) -> str | None: ...

    def set_password(self, service: str, username: str, password: str) -> None: ...

    def delete_password(self, service: str, username: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of one sign-in.

    Attributes:
        token_endpoint, client_id: the only place that the refresh token may be sent to.
        email: who signed in, as the helper names them.
        saved_at: unix time.
        server: the Covey server, as a join link; nobody else may get what the refresh token gives.
    """

    refresh_token: str = field(repr=False)
    token_endpoint: str
    client_id: str
    email: str = ""
    saved_at: float = 0.0
    server: str = ""

    def to_text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Self | None:
        """None for what `to_text` did not write."""
        try:
            match json.loads(text):
                case {
                    "refresh_token": str(token),
                    "token_endpoint": str(url),
                    "client_id": str(client),
                    "email": str(email),
                    "saved_at": int() | float() as saved_at,
                    "server": str(server),
                }:
                    return cls(token, url, client, email, float(saved_at), server)
        except (ValueError, RecursionError, OverflowError):
            pass
        return None


class KeyringFailed(Exception):
    """There is none, it is locked, or it does not answer."""


class TokenStore:
    """Args:
    folder: where the file is, if it comes to that.
    keyring: None asks for the system's.
    on_file: told, once for each file, that there is no keyring to use: a sentence for the person.
    """

    def __init__(
        self,
        folder: Path,
        *,
        keyring: Keyring | None = None,
        on_file: Callable[[str], None] | None = None,
        keyring_timeout: float = KEYRING_TIMEOUT,
    ) -> None:
        self._folder, self._keyring, self._timeout = folder, keyring, keyring_timeout
        self._on_file = on_file or log.warning
        self._asks_after = 0.0  # by the event loop's clock: a keyring that let us wait is left alone for a while

    async def load(self, account: str) -> Kept | None:
        """What is kept for this account; None if nothing is or it can't be read."""
        text: str | None = None
        with contextlib.suppress(KeyringFailed):
            text = await self._ask(lambda keyring: keyring.get_password(SERVICE, account))
        found = [kept for one in (text, self._read().get(account)) if one and (kept := Kept.from_text(one))]
        return max(found, key=lambda kept: kept.saved_at, default=None)

    async def save(self, account: str, kept: Kept) -> None:
        """Keep it in place of what was kept. Raises OSError if that is possible nowhere."""
        text = kept.to_text()
        try:
            await self._ask(lambda keyring: keyring.set_password(SERVICE, account, text))
        except KeyringFailed as error:
            self._write(account, text, why=str(error))
        else:
            self._write(account, None)

    async def forget(self, account: str) -> None:
        """Forget it everywhere. Raises OSError."""
        with contextlib.suppress(KeyringFailed):
            await self._ask(lambda keyring: _delete(keyring, account))
        self._write(account, None)

    @contextlib.asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Hold other programs of this person off: a refresh token that is used twice ends the sign-in for good.

        Raises TimeoutError, OSError.
        """
        self._make_folder()
        with (self._folder / LOCK).open("a") as file:
            async with asyncio.timeout(LOCK_TIMEOUT):
                while not try_lock(file):  # noqa: ASYNC110 - other programs set no event
                    await asyncio.sleep(LOCK_POLL)
            yield

    # ---- keyring

    async def _ask(self, call: Callable[[Keyring], T]) -> T:
        loop = asyncio.get_running_loop()
        if loop.time() < self._asks_after:
            raise KeyringFailed("the keyring is locked")
        result: asyncio.Future[T] = loop.create_future()
        threading.Thread(target=self._ask_in_thread, args=(call, result), name="keyring", daemon=True).start()
        try:
            async with asyncio.timeout(self._timeout):
                return await result
        except TimeoutError:
            self._asks_after = loop.time() + LEFT_ALONE
            raise KeyringFailed("the keyring is locked") from None

    def _ask_in_thread(self, call: Callable[[Keyring], T], result: "asyncio.Future[T]") -> None:
        answer: T | None = None
        failure: KeyringFailed | None = None
        try:
            answer = call(self._keyring or _system_keyring())
        except KeyringFailed as error:
            failure = error
        except Exception as error:  # a backend may raise anything
            log.debug("the keyring failed: %s", type(error).__name__)
            is_locked = type(error).__name__ == "KeyringLocked"
            failure = KeyringFailed("the keyring is locked" if is_locked else "the keyring does not work")

        def tell() -> None:
            if not result.done():
                result.set_exception(failure) if failure else result.set_result(answer)  # type: ignore[arg-type]

        with contextlib.suppress(RuntimeError):  # the loop has ended
            result.get_loop().call_soon_threadsafe(tell)

    # ---- file

    def _make_folder(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def _read(self) -> dict[str, str]:
        try:
            with (self._folder / FILE).open("rb") as file:
                found = json.loads(file.read(MAX_FILE))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            log.warning("what is kept of sign-ins can't be read: %s", error)
            return {}
        return {name: text for name, text in found.items() if isinstance(text, str)} if isinstance(found, dict) else {}

    def _write(self, account: str, text: str | None, *, why: str = "") -> None:
        """Write the file so that a crash leaves the old or the new one; without a record there is no file."""
        path = self._folder / FILE
        records = self._read()
        if text is None and account not in records:
            return
        records.pop(account, None)
        if text is not None:
            records[account] = text
        if not records:
            path.unlink(missing_ok=True)
            return
        is_new = not path.exists()
        self._make_folder()
        handle, name = tempfile.mkstemp(dir=self._folder, prefix=FILE)  # 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(records, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
        if is_new:
            self._on_file(f"Your sign-in is kept in the file {path}, which only you can read: {why}.")


def user_store(on_file: Callable[[str], None] | None = None) -> TokenStore:
    """The store of whoever runs this program."""
    from platformdirs import user_data_path

    return TokenStore(user_data_path("covey", appauthor=False, roaming=False), on_file=on_file)


def new_record(refresh_token: str, token_endpoint: str, client_id: str, email: str, server: str) -> Kept:
    return Kept(refresh_token, token_endpoint, client_id, email, time.time(), server)


def _system_keyring() -> Any:
    """Raises KeyringFailed where there is none."""
    import keyring
    import keyring.backends.fail
    import keyring.backends.null

    found = keyring.get_keyring()
    if isinstance(found, keyring.backends.fail.Keyring | keyring.backends.null.Keyring):
        raise KeyringFailed("there is no keyring here")
    return found


def _delete(keyring: Keyring, account: str) -> None:
    if keyring.get_password(SERVICE, account) is not None:
        keyring.delete_password(SERVICE, account)
