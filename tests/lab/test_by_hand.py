"""The lab as people use it: the demonstration, and labs that stay up between commands."""

import io
import os
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from tests.lab import cli, session
from tests.lab.demo import demo
from tests.lab.network import SERVER
from tests.lab.node import NAMESPACES, LabError, command, wait_for
from tests.lab.scenarios import SCENARIOS

pytestmark = pytest.mark.lab


def test_the_demonstration_goes_from_relay_to_direct() -> None:
    said = io.StringIO()
    assert demo(Console(file=said, width=120)), said.getvalue()
    story = said.getvalue()
    assert story.index("The path is relayed.") < story.index("The path is direct,") < story.index("They have met.")
    assert "Traceback" not in story


@pytest.fixture
def own_session(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Keep the lab of this test apart from one that a person has up; its prefix."""
    prefix = f"cvlab{os.getpid()}-0-"
    monkeypatch.setattr(session, "PREFIX", prefix)
    monkeypatch.setattr(session, "runtime_folder", lambda: tmp_path)
    return prefix


def test_a_lab_by_hand_stays_until_it_is_taken_down(own_session: str) -> None:
    try:
        made = session.begin(SCENARIOS["one-carrier"], bare=True)
        assert session.Session.load() == made
        ping = ("ip", "netns", "exec", made.nodes["alice"], "ping", "-n", "-c1", "-W1", SERVER)
        wait_for("alice pings the server", lambda: command(*ping, check=False).returncode == 0)
        with pytest.raises(LabError, match="up already"):
            session.begin(SCENARIOS["two-nats"], bare=True)
    finally:
        assert session.finish()
    assert not [entry for entry in NAMESPACES.iterdir() if entry.name.startswith(own_session)]
    assert not Path(made.scratch).exists()
    assert not session.finish()
    with pytest.raises(LabError, match="no lab is up"):
        session.Session.load()


def test_the_list_names_every_scenario() -> None:
    listed = CliRunner().invoke(cli.app, ["list"]).output
    assert all(name in listed for name in SCENARIOS)
