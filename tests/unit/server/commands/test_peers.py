import asyncio
import json
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from typer.testing import CliRunner

from protocol.keys import PrivateKey
from server.commands import peers
from server.store import PeerMeta, open_store
from server.store.errors import NoSuchPeer


def run(*words: str) -> str:
    result = CliRunner().invoke(peers.app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def where(tmp_path: Path) -> tuple[str, str]:
    async def fill() -> None:
        async with open_store(tmp_path) as store:
            await store.set_network(IPv4Network("100.92.0.0/16"), "covey.internal")
            key = (await store.create_setup_key(name="office", reusable=True)).key
            for hostname in ("bob", "alice"):
                await store.register(PrivateKey.generate().public, key, PeerMeta(hostname=hostname, os="Debian"))

    asyncio.run(fill())
    return ("--data-dir", str(tmp_path))


def test_machines_are_listed_by_name(where: tuple[str, str]) -> None:
    listed = json.loads(run("list", *where, "--json"))
    assert [peer["fqdn"] for peer in listed] == ["alice.covey.internal", "bob.covey.internal"]
    lines = run("list", *where).splitlines()
    assert lines[0].split() == ["ID", "NAME", "ADDRESS", "SYSTEM", "VERSION", "LAST", "SEEN"]
    assert [line.split()[1] for line in lines[1:]] == ["alice", "bob"]


@pytest.mark.parametrize("word", ["alice", "ALICE", "alice.covey.internal", None])
def test_a_machine_is_removed_by_name_or_id(where: tuple[str, str], word: str | None) -> None:
    alice = json.loads(run("list", *where, "--json"))[0]
    assert "alice" in run("remove", word or alice["id"], *where)
    assert [peer["name"] for peer in json.loads(run("list", *where, "--json"))] == ["bob"]
    with pytest.raises(NoSuchPeer):
        run("remove", "alice", *where)
