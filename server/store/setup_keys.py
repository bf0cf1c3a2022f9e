"""Setup keys: UUIDs that let a machine in. Pure."""

import hashlib
import re
import uuid

from protocol.errors import SetupKeyExpired, SetupKeyMalformed, SetupKeyRevoked, SetupKeyUnknown, SetupKeyUsedUp
from server.store.models import SetupKey

UUID_TEXT = re.compile(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}")
NIL = str(uuid.UUID(int=0))


def new_key() -> str:
    return str(uuid.uuid4()).upper()


def is_absent(text: str) -> bool:
    """Say whether a login came without a key: empty, or the nil UUID that NetBird sends with a sign-in."""
    return text.strip() in ("", NIL)


def canonical(text: str) -> str:
    """The key in upper case, as it is hashed. Raises SetupKeyMalformed for anything but a UUID."""
    key = text.strip().upper()
    if not UUID_TEXT.fullmatch(key):
        raise SetupKeyMalformed("this is no setup key: parts of it are missing, or it was changed while being copied")
    return key


def hash_of(key: str) -> str:
    """SHA-256 of the canonical key; enough for 122 random bits, no salt needed."""
    return hashlib.sha256(canonical(key).encode()).hexdigest()


def hint_of(key: str) -> str:
    return f"{canonical(key)[:8]}-…"


def limit_of(*, reusable: bool, usage_limit: int | None) -> int | None:
    """How many machines a key registers: the limit if given, else one, or any number (None) if it is reusable."""
    return usage_limit if usage_limit is not None else None if reusable else 1


def check(found: SetupKey | None, now: float) -> SetupKey:
    """Return the key that a machine may register with. Raises the error of protocol.errors that says why it may not."""
    if found is None:
        raise SetupKeyUnknown("this server does not know this setup key")
    if found.revoked_at is not None:
        raise SetupKeyRevoked("this setup key was revoked")
    if found.expires_at is not None and now >= found.expires_at:
        raise SetupKeyExpired("this setup key has expired")
    if found.usage_limit is not None and found.used >= found.usage_limit:
        times = "once" if found.usage_limit == 1 else f"{found.usage_limit} times"
        raise SetupKeyUsedUp(f"this setup key is used up: it was good {times}")
    return found
