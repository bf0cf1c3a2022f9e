import json
import time
from ipaddress import ip_address
from pathlib import Path

import pytest
from typer.testing import CliRunner

from protocol.join_link import JoinLink
from server.commands.join_link import KEY_LIFETIME
from server.main import app
from server.reachability import Reachability
from server.server_info import write_server_info


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """The folder of a server that has run."""
    write_server_info(tmp_path, Reachability((ip_address("203.0.113.10"),), (), 443, 3478, bytes(32)))
    run("setup-keys", "create", "--data-dir", str(tmp_path), "--name", "first")
    return tmp_path


def run(*words: str) -> tuple[str, str]:
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout, result.stderr


def test_the_key_in_a_join_link_is_for_one_machine_and_a_week_and_says_so(data_dir: Path) -> None:
    link, words = run("join-link", "--data-dir", str(data_dir), "--with-setup-key")
    assert JoinLink.parse(link.strip()).setup_key
    assert "one machine within 7 days" in words
    keys = {key["name"]: key for key in json.loads(run("setup-keys", "list", "--data-dir", str(data_dir), "--json")[0])}
    assert keys["join link"]["usage_limit"] == 1
    assert keys["join link"]["expires_at"] <= time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + KEY_LIFETIME))


def test_a_join_link_holds_no_key_unless_asked_for(data_dir: Path) -> None:
    link, words = run("join-link", "--data-dir", str(data_dir))
    assert JoinLink.parse(link.strip()).setup_key is None
    assert "It holds no setup key" in words
