"""Passwords: argon2id (RFC 9106), a few at a time, beside the event loop."""

import asyncio
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from protocol.errors import CoveyError, UsageError

SHORTEST, LONGEST = 8, 1000  # characters; NIST SP 800-63B, section 5.1.1.2, for the lower end
AT_ONCE = 2  # each takes 64 MiB and some hundredths of a second of four threads
MAX_WAITING = 200


class TooBusy(CoveyError):
    code = "too-busy"
    hint = "Try again in a minute."


def check_password(password: str) -> None:
    """Raise UsageError if it is too short or too long to be one."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise UsageError(f"a password has {SHORTEST} to {LONGEST} characters", "Some words in a row are easy to keep in mind.")


class Passwords:
    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = PasswordHasher() if hasher is None else hasher
        self._slots, self._waiting = asyncio.Semaphore(AT_ONCE), 0
        self._decoy: str | None = None

    async def hash(self, password: str) -> str:
        """Raises UsageError for what `check_password` refuses, TooBusy."""
        check_password(password)
        return await self._run(password, None)

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether it is that one; takes as long where there is none (None), so that nobody learns who has one. Raises TooBusy."""
        if self._decoy is None:
            self._decoy = await self._run("nobody has this one", None)
        matches = await self._run(password[:LONGEST], password_hash or self._decoy)
        return matches == "yes" and password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Whether hashes cost more by now than this one did."""
        return self._hasher.check_needs_rehash(password_hash)

    async def _run(self, password: str, password_hash: str | None) -> str:
        """Make a hash, or say `yes` or `no` to one."""
        if self._waiting >= MAX_WAITING:
            raise TooBusy("too many people sign in at once")
        self._waiting += 1
        try:
            async with self._slots:
                return await asyncio.to_thread(self._work, unicodedata.normalize("NFKC", password), password_hash)
        finally:
            self._waiting -= 1

    def _work(self, password: str, password_hash: str | None) -> str:
        plain = password.encode("utf-8", "surrogatepass")
        if password_hash is None:
            return self._hasher.hash(plain)
        try:
            return "yes" if self._hasher.verify(password_hash, plain) else "no"
        except (VerificationError, InvalidHashError):
            return "no"
