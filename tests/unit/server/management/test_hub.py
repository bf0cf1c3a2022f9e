from pathlib import Path

import pytest

from server.management.hub import EPHEMERAL_LIFETIME, Hub, overdue
from server.store import open_store


def test_an_ephemeral_peer_is_overdue_ten_minutes_after_it_was_last_seen() -> None:
    seen = {"here": 0.0, "just left": 500.0, "gone": 400.0}
    assert overdue(seen, {"here"}, started_at=0.0, now=400.0 + EPHEMERAL_LIFETIME) == ["gone"]


def test_after_a_restart_ephemeral_peers_have_the_whole_time_to_come_back() -> None:
    seen = {"gone": 0.0}
    assert overdue(seen, set(), started_at=5000.0, now=5000.0 + EPHEMERAL_LIFETIME - 1) == []
    assert overdue(seen, set(), started_at=5000.0, now=5000.0 + EPHEMERAL_LIFETIME) == ["gone"]


async def test_a_change_that_could_not_be_loaded_is_not_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class DiskError(Exception):
        pass

    async def fail() -> None:
        raise DiskError

    async with open_store(tmp_path) as store:
        hub = Hub(store, None)
        monkeypatch.setattr(store, "serials", fail)
        hub.mark_stale()
        for _ in range(2):  # the second time without another change
            with pytest.raises(DiskError):
                await hub.publish()
