import dataclasses
import uuid

import pytest

from protocol.errors import SetupKeyExpired, SetupKeyMalformed, SetupKeyRevoked, SetupKeyUnknown, SetupKeyUsedUp
from server.store.models import SetupKey
from server.store.setup_keys import canonical, check, hash_of, hint_of, is_absent, limit_of, new_key

KEY = SetupKey("id", "account", "name", "hint", False, 100.0, 2, 0, False, None, 0.0)


def test_case_and_surrounding_space_do_not_matter() -> None:
    key = new_key()
    assert uuid.UUID(key).version == 4
    assert hash_of(key) == hash_of(f" {key.lower()}\n")
    assert hint_of(key) == f"{key[:8]}-…"


@pytest.mark.parametrize("text", ["x", "5b6c8e1d00004000800001234567 89ab", "{5b6c8e1d-0000-4000-8000-0123456789ab}", "٥" * 36])
def test_what_is_no_uuid_is_malformed(text: str) -> None:
    with pytest.raises(SetupKeyMalformed):
        canonical(text)


def test_no_key_and_the_nil_uuid_are_both_no_key() -> None:
    assert is_absent("")
    assert is_absent("00000000-0000-0000-0000-000000000000")
    assert not is_absent(new_key())


def test_how_often_a_key_is_good() -> None:
    assert limit_of(reusable=False, usage_limit=None) == 1
    assert limit_of(reusable=True, usage_limit=None) is None
    assert limit_of(reusable=True, usage_limit=5) == limit_of(reusable=False, usage_limit=5) == 5


def test_a_key_is_good_until_it_is_used_up_expired_or_revoked() -> None:
    assert check(KEY, now=99.0) is KEY
    assert check(dataclasses.replace(KEY, expires_at=None, usage_limit=None, used=10**6), now=1e12)
    with pytest.raises(SetupKeyExpired):
        check(KEY, now=100.0)
    with pytest.raises(SetupKeyUsedUp):
        check(dataclasses.replace(KEY, used=2), now=0.0)
    with pytest.raises(SetupKeyRevoked):
        check(dataclasses.replace(KEY, revoked_at=1.0), now=0.0)
    with pytest.raises(SetupKeyUnknown):
        check(None, now=0.0)
