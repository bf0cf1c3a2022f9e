"""The accounts of this machine, of which one is active.

    STATE/                    the helper's folder, in it the files of the first profile
    STATE/active-profile.json {"version": 1, "profile": ID}
    STATE/profiles/ID/        another profile: profile.json {"version": 1, "name": NAME} and the same files

A folder is a profile as soon as it has its final name, and none any more as soon as it has lost it: both are one rename, so
that a crash at any moment leaves a profile whole or gone.
"""

import json
import logging
import pathlib
import re
import secrets
import shutil
import unicodedata
from typing import Any

from helper.files import Files
from helper.settings import ProfileFolder, StateFolder
from protocol.errors import NotSaved, ProfileExists, ProfileInUse, ProfileUnknown, UsageError
from protocol.local_api import DEFAULT_PROFILE, MAX_PROFILE_NAME

log = logging.getLogger(__name__)

VERSION = 1
FIRST = "default"  # the id of the profile in the helper's own folder
ID = re.compile(r"[0-9a-f]{16}")
MAX_PROFILES = 64


def clean_name(text: str) -> str:
    """A profile's name as it is kept: trimmed, composed (NFC). Raises UsageError."""
    name = unicodedata.normalize("NFC", text).strip()
    if not 1 <= len(name) <= MAX_PROFILE_NAME or not name.isprintable():
        raise UsageError(f"The name of an account is 1 to {MAX_PROFILE_NAME} printable characters.", "Choose another name.")
    return name


class Profiles:
    """Names by ids, and which one is active. Opening it finishes what a crash left half done.

    Attributes:
        names: of all profiles by their ids.
        active: an id.
    """

    def __init__(self, root: StateFolder) -> None:
        self._root = root
        self._files = Files(root.path, root.notes)
        self._folder = root.path / "profiles"
        self._tidy()
        chosen = self._files.read("active-profile.json", _read_active)
        self.names: dict[str, str] = {FIRST: DEFAULT_PROFILE} if root.is_used or chosen is None else {}
        for path in sorted(self._folder.glob("*")):
            if ID.fullmatch(path.name) and path.is_dir():
                self.names[path.name] = self._free_name(self._name_of(path))
        self.active = chosen if chosen in self.names else next(iter(self.names), FIRST)
        self.names.setdefault(self.active, DEFAULT_PROFILE)

    @property
    def active_name(self) -> str:
        return self.names[self.active]

    def folder(self, profile: str) -> ProfileFolder:
        return self._root if profile == FIRST else ProfileFolder(self._folder / profile, self._root.notes)

    def find(self, name: str) -> str:
        """The id of the profile of this name. Raises ProfileUnknown."""
        wanted = _key(name)
        for profile, known in self.names.items():
            if _key(known) == wanted:
                return profile
        raise ProfileUnknown(f"There is no account {name[:MAX_PROFILE_NAME]!r} on this machine.")

    def add(self, text: str) -> str:
        """Make a profile and return its id. Raises UsageError, ProfileExists, NotSaved."""
        name = clean_name(text)
        if _key(name) in map(_key, self.names.values()):
            raise ProfileExists(f"There is an account {name!r} already.")
        if len(self.names) >= MAX_PROFILES:
            raise UsageError(f"There are {MAX_PROFILES} accounts already.", "Remove one first: `covey profile remove NAME`.")
        profile = secrets.token_hex(8)
        aside = self._folder / f"{profile}.new"
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            aside.mkdir(mode=0o700)
            self._write_name(aside, name)
            aside.rename(self._folder / profile)
        except OSError as error:
            shutil.rmtree(aside, ignore_errors=True)
            raise NotSaved(f"the account can't be saved in {self._folder}: {error.strerror}", "Is the disk full?") from None
        self.names[profile] = name
        return profile

    def activate(self, profile: str) -> None:
        """Raises NotSaved; the former then stays active."""
        data = {"version": VERSION, "profile": profile}
        try:
            self._files.write("active-profile.json", json.dumps(data).encode())
        except OSError as error:
            raise NotSaved(f"the change can't be saved in {self._root.path}: {error.strerror}", "Is the disk full?") from None
        self.active = profile

    def remove(self, profile: str) -> None:
        """Forget the profile and remove its files. Raises ProfileInUse for the active one, NotSaved."""
        if profile == self.active:
            raise ProfileInUse(f"The account {self.names[profile]!r} is the active one.")
        left = self._folder / f"{profile}.removed"
        try:
            if profile == FIRST:
                self._root.wipe()
            else:
                (self._folder / profile).rename(left)
        except OSError as error:
            raise NotSaved(f"the account can't be removed from {self._root.path}: {error.strerror}", "Try again.") from None
        del self.names[profile]
        shutil.rmtree(left, ignore_errors=True)  # the next start tries again

    def _tidy(self) -> None:
        for path in (*self._folder.glob("*.new"), *self._folder.glob("*.removed")):
            log.info("removing what is left of an account: %s", path.name)
            shutil.rmtree(path, ignore_errors=True)

    def _name_of(self, path: pathlib.Path) -> str:
        name = Files(path, self._root.notes).read("profile.json", _read_name)
        if name is None:
            name = f"account {path.name[:4]}"
            self._root.notes.append(f"An account has lost its name; it is now called {name!r}.")
            try:
                self._write_name(path, name)
            except OSError as error:
                log.warning("the name of an account was not saved: %s", error)
        return name

    def _free_name(self, name: str) -> str:
        taken = set(map(_key, self.names.values()))
        return next(one for one in (name, *(f"{name} ({n})" for n in range(2, 1000))) if _key(one) not in taken)

    @staticmethod
    def _write_name(path: pathlib.Path, name: str) -> None:
        Files(path, []).write("profile.json", json.dumps({"version": VERSION, "name": name}).encode())


def _key(name: str) -> str:
    """What two names that are the same have in common."""
    return unicodedata.normalize("NFC", name).strip().casefold()


def _read_name(data: bytes) -> str:
    match _versioned(data):
        case {"name": str(name)}:
            try:
                return clean_name(name)
            except UsageError as error:
                raise ValueError(str(error)) from None
        case _:
            raise ValueError("it does not hold the name of an account")


def _read_active(data: bytes) -> str:
    match _versioned(data):
        case {"profile": str(profile)}:
            return profile
        case _:
            raise ValueError("it does not say which account is the active one")


def _versioned(data: bytes) -> Any:
    found = json.loads(data)
    if not isinstance(found, dict) or found.get("version") != VERSION:
        raise ValueError("it is of a version that is not known here")
    return found
