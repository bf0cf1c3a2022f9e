"""Several accounts on one machine: names, the active one, and what a crash at any moment leaves."""

import json
import os
import pathlib
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from helper.profiles import FIRST, MAX_PROFILES, Profiles, clean_name
from helper.settings import Settings, StateFolder
from protocol.errors import ProfileExists, ProfileInUse, ProfileUnknown, UsageError
from protocol.join_link import ServerLocation

JOINED = Settings(ServerLocation(("192.0.2.1",)), wanted=True)


@pytest.fixture
def root(tmp_path: pathlib.Path) -> Iterator[StateFolder]:
    opened = StateFolder(tmp_path / "state")
    yield opened
    opened.close()


def test_a_fresh_machine_has_one_profile_which_is_in_the_helper_s_own_folder(root: StateFolder) -> None:
    profiles = Profiles(root)
    assert (profiles.active, profiles.names) == (FIRST, {FIRST: "default"})
    assert profiles.folder(FIRST) is root


def test_an_installation_from_before_profiles_goes_on(root: StateFolder) -> None:
    key = root.private_key()
    root.save(JOINED)
    profiles = Profiles(root)
    folder = profiles.folder(profiles.active)
    assert (folder.private_key(), folder.load(), profiles.active_name) == (key, JOINED, "default")


def test_each_profile_has_a_key_and_settings_of_its_own(root: StateFolder) -> None:
    root.save(JOINED)
    profiles = Profiles(root)
    work = profiles.folder(profiles.add("work"))
    assert work.load() == Settings()
    assert work.private_key() != root.private_key()
    work.save(Settings(hostname="desk"))
    assert root.load() == JOINED
    assert stat.S_IMODE(work.path.stat().st_mode) == stat.S_IMODE(work.path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in work.path.iterdir()} == {0o600}


def test_profiles_and_the_active_one_are_there_after_a_restart(root: StateFolder) -> None:
    profiles = Profiles(root)
    root.private_key()
    work = profiles.add(" W\u006fr\u006b & ../Spiel \u00e9 \U0001f9a6 ")
    profiles.activate(work)
    again = Profiles(root)
    assert (again.active, again.names) == (work, {FIRST: "default", work: "Work & ../Spiel é \U0001f9a6"})


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a\0", "\u202eabc", "\ud800", "x" * 65])
def test_names_that_cannot_be_shown_are_refused(root: StateFolder, name: str) -> None:
    with pytest.raises(UsageError):
        Profiles(root).add(name)


def test_names_are_unique_whatever_their_case_and_composition(root: StateFolder) -> None:
    profiles = Profiles(root)
    cafe = profiles.add("Café Straße")
    for same in ("cafe\u0301 STRASSE", " café straße "):
        with pytest.raises(ProfileExists):
            profiles.add(same)
        assert profiles.find(same) == cafe
    with pytest.raises(ProfileExists):
        profiles.add("DEFAULT")
    with pytest.raises(ProfileUnknown):
        profiles.find("elsewhere")


def test_the_active_profile_is_not_removed(root: StateFolder) -> None:
    profiles = Profiles(root)
    with pytest.raises(ProfileInUse):
        profiles.remove(profiles.active)
    assert Profiles(root).names == {FIRST: "default"}


def test_a_removed_profile_leaves_nothing_behind(root: StateFolder) -> None:
    profiles = Profiles(root)
    work = profiles.add("work")
    folder = profiles.folder(work)
    secret = folder.private_key().secret_text.encode()
    folder.save(JOINED)
    profiles.remove(work)
    assert profiles.names == {FIRST: "default"}
    assert not [path for path in root.path.rglob("*") if path.is_file() and secret in path.read_bytes()]
    assert list((root.path / "profiles").iterdir()) == []


def test_the_first_profile_can_be_removed_as_well_and_its_name_given_anew(root: StateFolder) -> None:
    for number in range(3):
        root.private_key()
        root.save(Settings(wireguard_port=number + 1))
        root.save_login(b"login")
    profiles = Profiles(root)
    work = profiles.add("work")
    profiles.activate(work)
    profiles.remove(FIRST)
    assert {path.name for path in root.path.iterdir()} == {"lock", "profiles", "active-profile.json"}
    assert Profiles(root).names == {work: "work"}
    second = profiles.add("default")
    assert Profiles(root).names == {work: "work", second: "default"}


def test_their_number_is_bounded(root: StateFolder) -> None:
    profiles = Profiles(root)
    for number in range(MAX_PROFILES - 1):
        profiles.add(f"n{number}")
    with pytest.raises(UsageError, match="already"):
        profiles.add("one more")


# ---- what a crash or a bad disk leaves


def test_a_profile_that_was_being_made_or_removed_is_gone_after_a_crash(root: StateFolder) -> None:
    profiles = Profiles(root)
    one, two = profiles.add("one"), profiles.add("two")
    folder = root.path / "profiles"
    (folder / one).rename(folder / f"{one}.removed")
    (folder / two).rename(folder / f"{two}.new")
    assert Profiles(root).names == {FIRST: "default"}
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"version": 1}', b'{"version": 9, "profile": "x"}', b'{"version": 1, "profile": "x"}'],
)
def test_a_damaged_note_of_the_active_one_falls_back_to_the_first(root: StateFolder, content: bytes) -> None:
    profiles = Profiles(root)
    root.private_key()
    work = profiles.add("work")
    (root.path / "active-profile.json").write_bytes(content)
    again = Profiles(root)
    assert again.active == FIRST
    assert again.names == {FIRST: "default", work: "work"}


@pytest.mark.parametrize("content", [b"", b"{", b'{"version": 1, "name": "a\\nb"}', b'{"version": 1, "name": 7}'])
def test_a_profile_that_lost_its_name_keeps_its_account(root: StateFolder, content: bytes) -> None:
    work = Profiles(root).add("work")
    key = Profiles(root).folder(work).private_key()
    (root.path / "profiles" / work / "profile.json").write_bytes(content)
    profiles = Profiles(root)
    assert profiles.names[work] == f"account {work[:4]}"
    assert profiles.folder(work).private_key() == key
    assert Profiles(root).names == profiles.names
    assert any("lost its name" in note for note in root.notes)


def test_two_that_got_the_same_name_by_hand_are_told_apart(root: StateFolder) -> None:
    profiles = Profiles(root)
    one = profiles.add("work")
    two = ("0" if one[0] != "0" else "1") * 16
    shutil.copytree(root.path / "profiles" / one, root.path / "profiles" / two)
    assert sorted(Profiles(root).names.values()) == ["default", "work", "work (2)"]


def test_strange_things_in_the_folder_are_left_alone(root: StateFolder) -> None:
    Profiles(root).add("work")
    (root.path / "profiles" / "notes").mkdir()
    (root.path / "profiles" / ("f" * 16)).write_text("a file")
    assert len(Profiles(root).names) == 2


KILLED = """
import os, pathlib, signal, sys
from helper.profiles import Profiles
from helper.settings import Settings, StateFolder

steps = int(sys.argv[2])
def trace(event, arguments):
    global steps
    if event in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree") and armed:
        steps -= 1
        if steps < 0:
            os.kill(os.getpid(), signal.SIGKILL)
armed = False
sys.addaudithook(trace)
root = StateFolder(pathlib.Path(sys.argv[1]))
profiles = Profiles(root)
armed = True
work = profiles.add("work")
profiles.folder(work).save(Settings(hostname="desk"))
profiles.activate(work)
profiles.remove(profiles.find("old"))
print("done", flush=True)
"""


def test_kill_9_at_any_step_leaves_every_profile_whole_or_gone(tmp_path: pathlib.Path) -> None:
    steps = 0
    while True:
        path = tmp_path / str(steps)
        root = StateFolder(path)
        root.save(JOINED)
        old = Profiles(root).add("old")
        Profiles(root).folder(old).save(JOINED)
        root.close()
        done = subprocess.run([sys.executable, "-c", KILLED, path, str(steps)], capture_output=True, text=True, check=False)
        assert done.returncode in (0, -signal.SIGKILL), done.stderr

        root = StateFolder(path)
        profiles = Profiles(root)
        found = {name: profiles.folder(profile).load() for profile, name in profiles.names.items()}
        assert root.notes == []
        assert found.pop("default") == JOINED
        assert found.pop("old", JOINED) == JOINED
        assert found.pop("work", Settings()) in (Settings(), Settings(hostname="desk"))
        assert found == {}
        assert set(os.listdir(path / "profiles")) == set(profiles.names) - {FIRST}
        root.close()
        if done.returncode == 0:
            assert (profiles.active_name, sorted(profiles.names.values())) == ("work", ["default", "work"])
            break
        steps += 3
    assert steps > 10


@given(st.text(max_size=70))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_any_text_is_a_name_that_comes_back_or_a_usage_error(tmp_path: pathlib.Path, text: str) -> None:
    try:
        name = clean_name(text)
    except UsageError:
        return
    assert clean_name(name) == name
    assert clean_name(json.loads(json.dumps(name))) == name
