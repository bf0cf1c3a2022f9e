import json
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from protocol.errors import UsageError
from protocol.join_link import JoinLink
from server.commands.users import read_password
from server.main import app
from server.reachability import Reachability
from server.server_info import ServerNeverStarted, write_server_info
from server.store.errors import EmailTaken, NoServerHere, NoSuchUser


@pytest.fixture
def data_dir(tmp_path: Path) -> str:
    """The folder of a server that has run, with Alice."""
    write_server_info(tmp_path, Reachability((ip_address("203.0.113.10"),), (), 443, 3478, bytes(32)))
    create(tmp_path, "alice@example.org")
    return str(tmp_path)


def run(*words: str, given: str = "") -> str:
    result = CliRunner().invoke(app, words, input=given, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def create(data_dir: Path | str, email: str, *more: str) -> dict[str, Any]:
    words = ("users", "create", "--data-dir", str(data_dir), "--email", email, "--password-file", "-", "--json", *more)
    made: dict[str, Any] = json.loads(run(*words, given="correct horse\n"))
    return made


def listed(data_dir: str) -> list[dict[str, Any]]:
    people: list[dict[str, Any]] = json.loads(run("users", "list", "--data-dir", data_dir, "--json"))
    return people


def test_somebody_is_added_and_listed(data_dir: str) -> None:
    bob = create(data_dir, "Bob@Example.org", "--role", "admin", "--name", "Bob B.")
    assert (bob["email"], bob["role"], bob["name"], bob["blocked"]) == ("bob@example.org", "admin", "Bob B.", False)
    alice, same = listed(data_dir)
    assert (alice["email"], alice["role"], alice["name"]) == ("alice@example.org", "user", "alice")
    assert same == bob
    assert "bob@example.org" in run("users", "list", "--data-dir", data_dir)
    with pytest.raises(EmailTaken):
        create(data_dir, "bob@example.org")


def test_somebody_is_blocked_let_in_again_and_removed(data_dir: str) -> None:
    assert json.loads(run("users", "block", "alice@example.org", "--data-dir", data_dir, "--json"))["blocked"]
    assert listed(data_dir)[0]["blocked"]
    assert "may sign in again" in run("users", "unblock", "ALICE@example.org", "--data-dir", data_dir)
    assert not listed(data_dir)[0]["blocked"]
    assert json.loads(run("users", "remove", "alice@example.org", "--data-dir", data_dir, "--json"))["removed"]
    assert listed(data_dir) == []
    with pytest.raises(NoSuchUser):
        run("users", "block", "alice@example.org", "--data-dir", data_dir)


def test_a_password_is_reset_from_a_file_or_by_a_link(data_dir: str, tmp_path: Path) -> None:
    words = ("users", "reset-password", "alice@example.org", "--data-dir", data_dir)
    (tmp_path / "password").write_text("tomato pigeon\n")
    assert "tomato pigeon" not in run(*words, "--password-file", str(tmp_path / "password"))
    assert run(*words).startswith("https://203.0.113.10/welcome/")
    answer = json.loads(run(*words, "--json"))
    assert answer["link"].startswith("https://203.0.113.10/welcome/")
    assert answer["expires_at"].endswith("Z")


def test_an_invitation_comes_with_the_join_link(data_dir: str) -> None:
    answer = json.loads(run("invite", "--data-dir", data_dir, "--role", "admin", "--json"))
    assert answer.keys() == {"link", "join_link", "expires_at"}
    assert answer["link"].startswith("https://203.0.113.10/welcome/")
    assert JoinLink.parse(answer["join_link"]).server.fingerprint == bytes(32)
    assert run("invite", "--data-dir", data_dir).startswith("https://203.0.113.10/welcome/")


def test_links_need_a_server_that_has_run_and_people_a_folder(tmp_path: Path) -> None:
    for words in (("invite",), ("users", "reset-password", "a@b.c")):
        with pytest.raises(ServerNeverStarted):
            run(*words, "--data-dir", str(tmp_path))
    with pytest.raises(NoServerHere):
        run("users", "list", "--data-dir", str(tmp_path))


def test_a_password_is_read_without_the_end_of_its_line(tmp_path: Path) -> None:
    file = tmp_path / "password"
    for content, password in ((b" a b \n", " a b "), (b"a\r\n", "a"), (b"a\n\n", "a\n"), (b"", "")):
        file.write_bytes(content)
        assert read_password(file) == password
    file.write_bytes(b"\xff")
    for bad in (file, tmp_path / "absent", tmp_path):
        with pytest.raises(UsageError):
            read_password(bad)


def test_a_join_link_is_drawn_for_a_camera(data_dir: str) -> None:
    drawn = run("join-link", "--data-dir", data_dir, "--qr").splitlines()
    assert drawn[0].startswith("covey://")
    assert len(drawn) > 15
