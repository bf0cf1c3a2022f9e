import json
import logging
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helper.ledger import undo as undo_module
from helper.ledger.ledger import Change, Ledger, parse
from helper.ledger.undo import undo_all
from protocol.errors import CoveyError, StateUnreadable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.json"


def test_a_change_is_on_disk_as_soon_as_it_is_recorded_and_until_it_is_forgotten(path: Path) -> None:
    ledger = Ledger(path)
    change = ledger.record("interface", name="wt9")
    assert Ledger(path).entries() == (change,)
    amended = ledger.amend(change.id, pid=12, addresses=["192.0.2.1"], note=None)
    assert Ledger(path).entries() == (amended,)
    assert amended.details == {"name": "wt9", "pid": 12, "addresses": ["192.0.2.1"], "note": None}
    ledger.forget(change.id)
    ledger.forget(change.id)
    assert ledger.entries() == Ledger(path).entries() == ()


def test_changes_stand_in_the_order_they_were_made(path: Path) -> None:
    ledger = Ledger(path)
    first, second, third = (ledger.record("interface", name=name) for name in "abc")
    ledger.amend(first.id, pid=1)
    ledger.forget(second.id)
    assert [change.id for change in Ledger(path).entries()] == [first.id, third.id]


def test_the_file_is_for_its_owner_only(path: Path) -> None:
    Ledger(path).record("interface", name="wt9")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_write_that_was_cut_short_leaves_the_old_list(path: Path) -> None:
    change = Ledger(path).record("interface", name="wt9")
    path.with_name("ledger.json.new").write_text('{"version": 1, "chan')
    ledger = Ledger(path)
    assert ledger.entries() == (change,)
    later = ledger.record("interface", name="wt8")
    assert Ledger(path).entries() == (change, later)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b"[]", b'{"version": 2, "changes": []}', b'{"version": 1, "changes": [{}]}']
)
def test_a_damaged_file_is_kept_aside_and_the_helper_starts(path: Path, body: bytes, caplog: pytest.LogCaptureFixture) -> None:
    path.parent.mkdir()
    path.write_bytes(body)
    ledger = Ledger(path)
    assert ledger.entries() == ()
    assert path.with_name("ledger.json.damaged").read_bytes() == body
    assert "damaged" in caplog.text
    ledger.record("interface", name="wt9")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "kind", "details", "x"]), inner),
    max_leaves=8,
)


@given(st.binary() | JSON.map(lambda one: json.dumps({"version": 1, "changes": [one]}).encode()))
def test_no_file_breaks_the_parser(body: bytes) -> None:
    try:
        changes = parse(body)
    except ValueError:
        return
    assert all(isinstance(change, Change) for change in changes)


def test_a_change_that_cannot_be_written_down_must_not_be_made(path: Path) -> None:
    ledger = Ledger(path)
    path.parent.write_text("a file where the folder should be")
    with pytest.raises(CoveyError, match=r"ledger\.json cannot be written"):
        ledger.record("interface", name="wt9")
    assert ledger.entries() == ()
    with pytest.raises(StateUnreadable):
        Ledger(path)


async def test_undoing_goes_backwards_and_one_failure_stops_none_of_the_others(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    undone: list[object] = []

    async def undo_route(change: Change) -> str | None:
        undone.append(change.details["number"])
        if change.details["number"] == 2:
            raise OSError("busy")
        return None if change.details["number"] == 1 else f"removed route {change.details['number']}"

    monkeypatch.setitem(undo_module.UNDOERS, "route", undo_route)
    ledger = Ledger(path)
    for number in (1, 2, 3):
        ledger.record("route", number=number)
    ledger.record("of-a-later-version")
    with caplog.at_level(logging.WARNING):
        assert await undo_all(ledger) == ["removed route 3"]
    assert undone == [3, 2, 1]
    assert [change.kind for change in Ledger(path).entries()] == ["route", "of-a-later-version"]
    assert "busy" in caplog.text
    assert "of-a-later-version" in caplog.text


async def test_a_full_disk_keeps_nothing_from_being_undone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undone: list[object] = []

    async def undo_route(change: Change) -> None:
        undone.append(change.details["number"])

    monkeypatch.setitem(undo_module.UNDOERS, "route", undo_route)
    ledger = Ledger(path)
    for number in (1, 2):
        ledger.record("route", number=number)
    path.with_name(path.name + ".new").mkdir()
    await undo_all(ledger)
    assert undone == [2, 1]
    assert len(Ledger(path).entries()) == 2  # to be looked at once more


async def test_details_that_make_no_sense_stay_listed(path: Path) -> None:
    ledger = Ledger(path)
    ledger.record("interface", name=7)
    ledger.record("wireguard-go")
    assert await undo_all(ledger) == []
    assert len(ledger.entries()) == 2
