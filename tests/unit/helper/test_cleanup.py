"""Cleaning up without the helper: what it undoes, what it says, and when it refuses."""

import asyncio
import contextlib
import io
import json
import sys
from pathlib import Path

import pytest

from helper.ledger import undo
from helper.ledger.ledger import Change, Ledger
from helper.main import main
from helper.settings import StateFolder


@pytest.fixture(autouse=True)
def undone(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """As root, with ways to undo that touch nothing; what they undid, by name."""
    done: list[str] = []

    async def undo_it(change: Change) -> str | None:
        name = str(change.details.get("name", change.details.get("interface")))
        if name == "stuck0":
            raise OSError(16, "device busy")
        done.append(f"{change.kind} {name}")
        return f"removed the {change.kind} {name}"

    monkeypatch.setattr(undo, "UNDOERS", {"interface": undo_it, "wireguard-go": undo_it})
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return done


def cleanup(state: Path, *words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
        main(["cleanup", "--state-dir", str(state), *words])
    return int(ended.value.code or 0), out.getvalue(), err.getvalue()


def test_what_a_crash_left_is_undone_latest_first_and_told(tmp_path: Path, undone: list[str]) -> None:
    ledger = Ledger(tmp_path / "ledger.json")
    ledger.record("interface", name="covey0")
    ledger.record("wireguard-go", interface="covey0")
    assert cleanup(tmp_path) == (0, "Removed the wireguard-go covey0.\nRemoved the interface covey0.\n", "")
    assert undone == ["wireguard-go covey0", "interface covey0"]
    assert cleanup(tmp_path) == (0, "There is nothing to clean up.\n", "")


def test_where_there_never_was_a_helper_nothing_is_made(tmp_path: Path) -> None:
    assert cleanup(tmp_path / "none", "--json") == (0, '{"done": [], "left": [], "notes": []}\n', "")
    assert not (tmp_path / "none").exists()


def test_what_can_not_be_undone_stays_listed_and_stops_nothing_else(tmp_path: Path, undone: list[str]) -> None:
    ledger = Ledger(tmp_path / "ledger.json")
    ledger.record("interface", name="covey0")
    ledger.record("interface", name="stuck0")
    code, said, _ = cleanup(tmp_path, "--json")
    outcome = json.loads(said)
    assert (code, outcome["done"]) == (1, ["Removed the interface covey0."])
    assert "stuck0" in outcome["left"][0]
    assert [change.details["name"] for change in Ledger(tmp_path / "ledger.json").entries()] == ["stuck0"]


@pytest.mark.parametrize("torn", [b"", b'{"version": 1, "changes": [{"id": "', b"\0" * 300])
def test_a_torn_list_leaves_the_usual_interface_to_go_by(tmp_path: Path, undone: list[str], torn: bytes) -> None:
    (tmp_path / "ledger.json").write_bytes(torn)
    code, said, _ = cleanup(tmp_path, "--interface", "mesh0")
    assert (code, undone) == (0, ["wireguard-go mesh0", "interface mesh0"])
    assert said.startswith("The list of changes was damaged")


def test_it_refuses_while_the_helper_runs_and_says_what_to_do(tmp_path: Path, undone: list[str]) -> None:
    Ledger(tmp_path / "ledger.json").record("interface", name="covey0")
    folder = StateFolder(tmp_path)
    try:
        code, _, said = cleanup(tmp_path)
        assert (code, said.splitlines()[0]) == (1, "The helper is running and keeps order by itself.")
        code, said, _ = cleanup(tmp_path, "--json")
        assert json.loads(said)["error"]["code"] == "already-running"
    finally:
        folder.close()
    assert undone == []


def test_others_than_root_are_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    code, _, said = cleanup(tmp_path)
    assert code == 1
    assert "only root may" in said
    assert "sudo covey cleanup" in said


async def test_covey_passes_on_what_the_program_says_and_its_exit_code(tmp_path: Path) -> None:
    (tmp_path / "ledger.json").write_text(json.dumps({"version": 1, "changes": [{"id": "1", "kind": "odd", "details": {}}]}))
    covey = Path(sys.executable).with_name("covey")
    process = await asyncio.create_subprocess_exec(
        covey, "cleanup", "--state-dir", str(tmp_path), "--json", stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    answer = json.loads(said)
    assert process.returncode == 1  # without root, or because nobody knows how to undo it
    assert answer.get("left") or answer["error"]["code"] == "no-permission"
