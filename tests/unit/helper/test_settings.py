"""The state folder: what the helper remembers, and what it makes of what a crash left behind."""

import json
import logging
import pathlib
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helper.settings import MAX_SIZE, Settings, StateFolder
from protocol.errors import AlreadyRunning, NoPermission, StateUnreadable
from protocol.join_link import ServerLocation

SERVER = ServerLocation(("192.0.2.1", "2001:db8::1"), 8443, bytes(range(32)), tls=True)
JOINED = Settings(SERVER, "laptop", wanted=True, wireguard_port=51820)
SETTINGS = st.builds(
    Settings,
    st.none()
    | st.builds(
        ServerLocation,
        st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=3).map(tuple),
        st.integers(1, 65535),
        st.none() | st.binary(min_size=32, max_size=32),
        st.booleans(),
    ),
    st.none() | st.text(max_size=20),
    st.booleans(),
    st.integers(0, 65535),
    st.none() | st.integers(0, 2**32 - 1),
    st.text(max_size=20),
    st.none() | st.integers(0, 2**32) | st.floats(0, 2**33),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> Iterator[StateFolder]:
    opened = StateFolder(tmp_path / "state")
    yield opened
    opened.close()


def mode(path: pathlib.Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# ---- what is kept


def test_a_fresh_folder_knows_nothing(folder: StateFolder) -> None:
    assert folder.load() == Settings()
    assert folder.load_login() is None
    assert folder.load_map() is None
    assert folder.notes == []


def test_everything_is_there_after_a_restart(folder: StateFolder) -> None:
    key = folder.private_key()
    folder.save(JOINED)
    folder.save_login(b"login")
    folder.save_map(b"map")
    folder.close()

    again = StateFolder(folder.path)

    assert again.private_key() == key
    assert again.load() == JOINED
    assert (again.load_login(), again.load_map()) == (b"login", b"map")
    assert again.notes == []
    again.close()


@given(SETTINGS)
def test_settings_survive_their_file(settings: Settings) -> None:
    assert Settings.from_json(json.loads(json.dumps(settings.to_json()))) == settings


def test_the_key_is_made_once(folder: StateFolder) -> None:
    assert folder.private_key() == folder.private_key()


def test_files_and_folder_are_the_owner_s_only(folder: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.private_key()
    for settings in (Settings(), JOINED):
        folder.save(settings)
        folder.save_login(b"login")
        folder.save_map(b"map")
    assert mode(folder.path) == 0o700
    assert {path.name: oct(mode(path)) for path in folder.path.iterdir() if mode(path) != 0o600} == {}


def test_a_folder_that_was_open_to_others_is_closed_to_them(tmp_path: pathlib.Path) -> None:
    tmp_path.chmod(0o755)
    StateFolder(tmp_path).close()
    assert mode(tmp_path) == 0o700


def test_nothing_is_left_aside_by_a_write(folder: StateFolder) -> None:
    folder.save(JOINED)
    folder.save(Settings())
    assert {path.name for path in folder.path.iterdir()} == {"lock", "settings.json", "settings.json.before"}


# ---- what a crash or a bad disk leaves

DAMAGE: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("half written", lambda data: data[: len(data) // 2]),
    ("empty", lambda data: b""),
    ("zeros", lambda data: bytes(len(data))),
    ("garbage", lambda data: b"\xff\xfe\x00garbage"),
    ("another kind of JSON", lambda data: b"[1, 2]"),
    ("nothing of JSON's", lambda data: b"null"),
    ("deeply nested", lambda data: b"[" * 100_000),
    ("a later version", lambda data: data.replace(b'"version": 1', b'"version": 99')),
]


@pytest.mark.parametrize("damage", [damage for _, damage in DAMAGE], ids=[name for name, _ in DAMAGE])
def test_damaged_settings_are_kept_aside_and_those_before_are_used(folder: StateFolder, damage: Callable[[bytes], bytes]) -> None:
    file = folder.path / "settings.json"
    folder.save(replace(JOINED, wanted=False))
    folder.save(JOINED)
    damaged = damage(file.read_bytes())
    file.write_bytes(damaged)

    assert folder.load() == replace(JOINED, wanted=False)
    assert (folder.path / "settings.json.damaged").read_bytes() == damaged
    assert folder.notes == ["The state file settings.json was damaged; it is kept as settings.json.damaged."]


@pytest.mark.parametrize("damage", [damage for _, damage in DAMAGE], ids=[name for name, _ in DAMAGE])
def test_without_whole_settings_the_helper_starts_afresh_and_says_so(
    folder: StateFolder, damage: Callable[[bytes], bytes]
) -> None:
    folder.save(JOINED)
    file = folder.path / "settings.json"
    file.write_bytes(damage(file.read_bytes()))

    assert folder.load() == Settings()
    assert len(folder.notes) == 1
    folder.save(JOINED)
    assert folder.load() == JOINED


def test_a_note_is_made_once(folder: StateFolder) -> None:
    (folder.path / "settings.json").write_bytes(b"")
    folder.load()
    folder.load()
    assert len(folder.notes) == 1


def test_a_write_that_a_crash_cut_short_leaves_what_was_there(folder: StateFolder) -> None:
    folder.save(JOINED)
    (folder.path / "settings.json.new").write_bytes(b'{"version"')
    assert folder.load() == JOINED
    folder.save(Settings())
    assert folder.load() == Settings()


def test_a_crash_between_the_two_renames_loses_nothing(folder: StateFolder) -> None:
    folder.save(JOINED)
    (folder.path / "settings.json").replace(folder.path / "settings.json.before")
    assert folder.load() == JOINED
    assert folder.notes == []


@pytest.mark.parametrize("content", [b"", b"not a key\n", b"\xff" * 45, b"A" * 44])
def test_a_damaged_key_is_kept_aside_and_a_new_one_made(folder: StateFolder, content: bytes) -> None:
    (folder.path / "wireguard.key").write_bytes(content)
    key = folder.private_key()
    assert (folder.path / "wireguard.key.damaged").read_bytes() == content
    assert any("must join again" in note for note in folder.notes)
    assert folder.private_key() == key


def test_a_damaged_key_does_not_appear_in_the_log(folder: StateFolder, caplog: pytest.LogCaptureFixture) -> None:
    secret = folder.private_key().secret_text
    (folder.path / "wireguard.key").write_text(secret[:-1])
    with caplog.at_level(logging.DEBUG):
        folder.private_key()
    assert secret[:-1] not in caplog.text + "".join(folder.notes)


def test_a_file_larger_than_any_could_be_is_not_read(folder: StateFolder) -> None:
    with (folder.path / "network-map").open("wb") as file:
        file.truncate(MAX_SIZE + 1)
    assert folder.load_map() is None
    assert len(folder.notes) == 1


def test_a_file_that_cannot_be_read_is_an_error_and_stays(folder: StateFolder) -> None:
    (folder.path / "settings.json").mkdir()
    with pytest.raises(StateUnreadable, match=r"settings\.json can't be read"):
        folder.load()


@given(JSON)
def test_any_json_is_settings_or_a_value_error(data: Any) -> None:
    try:
        settings = Settings.from_json(data)
    except ValueError:
        return
    assert Settings.from_json(settings.to_json()) == settings


@given(
    st.fixed_dictionaries(
        {
            "version": st.just(1),
            "server": st.none() | st.fixed_dictionaries({"hosts": JSON, "port": JSON, "fingerprint": JSON, "tls": JSON}) | JSON,
            "hostname": JSON,
            "wanted": JSON,
            "wireguard_port": st.integers(-1, 70000) | JSON,
        },
        optional={"owner": JSON, "email": JSON, "session_ends": JSON},
    )
)
def test_settings_with_any_values_are_settings_or_a_value_error(data: Any) -> None:
    try:
        settings = Settings.from_json(data)
    except ValueError:
        return
    assert settings.hostname is None or isinstance(settings.hostname, str)
    assert Settings.from_json(settings.to_json()) == settings


def test_settings_from_before_anybody_could_sign_in_are_read() -> None:
    written = {"version": 1, "server": None, "hostname": "laptop", "wanted": True, "wireguard_port": 51820}
    assert Settings.from_json(written) == Settings(None, "laptop", wanted=True, wireguard_port=51820)


# ---- leaving a server


def test_forgetting_the_server_keeps_the_key(folder: StateFolder) -> None:
    key = folder.private_key()
    for content in (b"old", b"new"):
        folder.save(replace(JOINED, owner=1000, email="alice@example.org", session_ends=1.9e9))
        folder.save_login(content)
        folder.save_map(content)

    folder.forget_server()

    assert folder.load() == replace(JOINED, server=None, wanted=False)
    assert (folder.load_login(), folder.load_map()) == (None, None)
    assert folder.private_key() == key
    left = b"".join(path.read_bytes() for path in folder.path.glob("login*")) + b"".join(
        path.read_bytes() for path in folder.path.glob("network-map*")
    )
    assert left == b""


def test_a_forgotten_server_does_not_come_back_from_the_file_before(folder: StateFolder) -> None:
    folder.save(JOINED)
    folder.forget_server()
    (folder.path / "settings.json").write_bytes(b"")
    assert folder.load().server is None


def test_forgetting_twice_changes_nothing(folder: StateFolder) -> None:
    folder.forget_server()
    folder.forget_server()
    assert folder.load() == Settings()


# ---- one helper at a time


def test_a_second_helper_is_refused(folder: StateFolder) -> None:
    with pytest.raises(AlreadyRunning, match="another helper already uses the state folder"):
        StateFolder(folder.path)
    folder.close()
    StateFolder(folder.path).close()


def test_a_second_process_is_refused(folder: StateFolder) -> None:
    code = "import pathlib, sys; from helper.settings import StateFolder; StateFolder(pathlib.Path(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", code, folder.path], capture_output=True, text=True, check=False)
    assert "AlreadyRunning" in done.stderr


def test_a_folder_that_is_a_file_is_refused_with_a_sentence(tmp_path: pathlib.Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(NoPermission, match="can't be used"):
        StateFolder(tmp_path / "state")
