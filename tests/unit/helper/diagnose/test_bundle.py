"""The report: what is in it, what it says was removed, and that no byte of it is a secret."""

import io
import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from helper.diagnose import system
from helper.diagnose.bundle import Contents, make_bundle
from helper.recorder import RecordedEvent
from protocol.generated.management_pb2 import LoginResponse, SyncResponse
from tests.unit.helper.diagnose.test_redaction import BOB, JWT, PRIVATE, SECRETS, SETUP_KEY, TURN_PASSWORD
from tests.unit.helper.local_api.scripted import peer, relayed, status_document

NAMES = ("bob", "ada@example.org", "vpn.example.org", "198.51.100.7", "203.0.113.9", "corp.example")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder as a helper leaves it, with a log that somebody was careless in."""
    login, response = LoginResponse(), SyncResponse()
    login.netbirdConfig.turns.add(user="1764100000:alice", password=TURN_PASSWORD).hostConfig.uri = "turn:203.0.113.9:3478"
    response.NetworkMap.remotePeers.add(wgPubKey=BOB, fqdn="bob.covey.internal")
    (tmp_path / "wireguard.key").write_text(PRIVATE.secret_text + "\n")
    (tmp_path / "login").write_bytes(login.SerializeToString())
    (tmp_path / "network-map").write_bytes(response.SerializeToString())
    settings = {"hostname": "adas", "email": "ada@example.org", "owner": None, "server": {"hosts": ["vpn.example.org"]}}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    (tmp_path / "ledger.json").write_text('{"version": 1, "changes": []}')
    (tmp_path / "logs").mkdir()
    lines = [f"peer {BOB[:6]}: relayed", *(f"DEBUG careless: {secret} was sent to 198.51.100.7" for secret in SECRETS[:-1])]
    (tmp_path / "logs/helper.log").write_text("\n".join([*lines, "password=hunter2hunter2", "asked vpn.example.org"]))
    return tmp_path


def contents() -> Contents:
    status = status_document(peer("bob", 2), relayed("carol", 3))
    status["notes"] = [f"setup key {SETUP_KEY}, token {JWT}"]
    status["email"] = "ada@example.org"
    event = RecordedEvent(
        7, 0.0, "path", "bob is reached directly.", "bob", {"to": "srflx 198.51.100.7:1", "password": "hunter2hunter2"}
    )
    return Contents({"status.json": dict(status)}, events=[event])


async def opened(state: Path, monkeypatch: pytest.MonkeyPatch, *, include_names: bool) -> dict[str, str]:
    async def looked() -> tuple[dict[str, str], dict[str, str]]:
        return {"resolv.conf.txt": "search corp.example\n", "interfaces.txt": PRIVATE.raw.hex()}, {
            "nft.txt": "nft is not installed"
        }

    monkeypatch.setattr(system, "look", looked)
    data = await make_bundle(state, contents(), include_names=include_names)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {Path(name).name: archive.read(name).decode() for name in archive.namelist()}


@pytest.mark.parametrize("include_names", [False, True])
async def test_no_secret_is_in_it_whatever_was_asked_for(
    state: Path, monkeypatch: pytest.MonkeyPatch, include_names: bool
) -> None:
    files = await opened(state, monkeypatch, include_names=include_names)
    found = [(name, secret) for name, text in files.items() for secret in SECRETS if secret in text]
    assert not found
    assert all((name in "".join(files.values())) is include_names for name in NAMES)


async def test_it_lists_what_is_in_it_and_what_was_removed(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = await opened(state, monkeypatch, include_names=False)
    manifest = files["MANIFEST.txt"]
    wanted = {"status.json", "events.jsonl", "helper.log", "ledger.json", "resolv.conf.txt", "interfaces.txt"}
    assert wanted < set(files)
    assert all(name in manifest for name in wanted)
    for line in ("nft is not installed", "wireguard.key", "names of peers", "public IP addresses", "e-mail addresses"):
        assert line in manifest
    (event,) = map(json.loads, files["events.jsonl"].splitlines())
    assert event["details"]["password"] == "[removed]"
    assert event["sentence"] == f"{event['peer']} is reached directly."
    status = json.loads(files["status.json"])
    assert status["peers"]["details"][0]["fqdn"] == event["peer"]
    assert f"peer {event['peer']}: relayed" in files["helper.log"]


async def test_a_machine_without_tools_and_state_still_makes_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "SBIN", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    data = await make_bundle(tmp_path / "nothing", Contents(), include_names=False)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        (manifest,) = (archive.read(name).decode() for name in archive.namelist() if name.endswith("MANIFEST.txt"))
    assert "ip is not installed" in manifest
    assert f"{datetime.now(UTC):%Y}" in manifest
