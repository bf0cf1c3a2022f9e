"""What the helper remembers over restarts: this machine's key, its server, whether it should be up, the last network map.

All of that belongs to a profile, which is an account at a server. The first profile's files lie in the helper's own folder,
those of others in folders of their own (profiles.py). How they are written and read: files.py.
"""

import json
import os
import pathlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

from helper.files import MAX_SIZE, SUFFIXES, Files
from protocol.errors import AlreadyRunning, NoPermission
from protocol.file_lock import try_lock
from protocol.join_link import ServerLocation
from protocol.keys import PrivateKey

__all__ = ["MAX_SIZE", "ProfileFolder", "Settings", "StateFolder"]

T = TypeVar("T")

VERSION = 1
MAX_EMAIL = 254  # characters (RFC 5321, section 4.5.3.1.3)
END_OF_TIME = 253_402_300_799  # seconds since 1970: the last moment of the year 9999


@dataclass(frozen=True, slots=True)
class Settings:
    """Attributes:
    server: the one we joined, None before that.
    wanted: the person asked for the tunnel to be up.
    wireguard_port: chosen at random once and kept; 0 before that.
    owner: number of the user of this machine who signed in; None for a machine that a setup key let in, or root did.
    email: who signed in, for people to read; empty if nobody did.
    session_ends: when that person has to sign in again, in seconds since 1970; None: never.
    """

    server: ServerLocation | None = None
    hostname: str | None = None
    wanted: bool = False
    wireguard_port: int = 0
    owner: int | None = None
    email: str = ""
    session_ends: float | None = None

    def to_json(self) -> dict[str, Any]:
        server = self.server
        return {
            "version": VERSION,
            "server": {
                "hosts": list(server.hosts),
                "port": server.port,
                "fingerprint": server.fingerprint.hex() if server.fingerprint else None,
                "tls": server.tls,
            }
            if server
            else None,
            "hostname": self.hostname,
            "wanted": self.wanted,
            "wireguard_port": self.wireguard_port,
            "owner": self.owner,
            "email": self.email,
            "session_ends": self.session_ends,
        }

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read what `to_json` wrote, or wrote before anybody could sign in. Raises ValueError for anything else."""
        match data:
            case {"version": int(version)} if version != VERSION:
                raise ValueError(f"version {version} of the settings is not known here")
            case {
                "version": int(),
                "server": dict() | None as entry,
                "hostname": str() | None as hostname,
                "wanted": bool(wanted),
                "wireguard_port": int(port),
            } if 0 <= port <= 65535:
                server = _server_from_json(entry) if entry is not None else None
                owner, email, ends = data.get("owner"), data.get("email", ""), data.get("session_ends")
            case _:
                raise ValueError("it does not hold the settings")
        if not _is_number(owner, 2**32 - 1, int) or not _is_number(ends, END_OF_TIME, int | float) or not isinstance(email, str):
            raise ValueError("it does not say who signed in")
        return cls(server, hostname, wanted, port, owner, email[:MAX_EMAIL], ends)


def _is_number(value: Any, greatest: int, kind: Any) -> bool:
    return value is None or (isinstance(value, kind) and not isinstance(value, bool) and 0 <= value <= greatest)


def _server_from_json(entry: dict[str, Any]) -> ServerLocation:
    match entry:
        case {"hosts": [str(), *_] as hosts, "port": int(port), "fingerprint": str() | None as pin, "tls": bool(tls)} if (
            1 <= port <= 65535 and all(isinstance(host, str) and host for host in hosts)
        ):
            return ServerLocation(tuple(hosts), port, bytes.fromhex(pin) if pin is not None else None, tls)
        case _:
            raise ValueError("it does not say where the server is")


class ProfileFolder:
    """What is kept of one profile. `notes` takes sentences about files that were damaged."""

    def __init__(self, path: pathlib.Path, notes: list[str]) -> None:
        self.path, self.notes = path, notes
        self._files = Files(path, notes)

    def private_key(self) -> PrivateKey:
        """This machine's key, made on the first call. Raises StateUnreadable if it is there but damaged."""
        key = self._files.read("wireguard.key", lambda data: PrivateKey.from_text(data.decode().strip()))
        if key is None:
            if (self.path / "wireguard.key.damaged").exists() and not (self.path / "wireguard.key").exists():
                self.notes.append("This machine's key was damaged; it has a new one and must join again.")
            key = PrivateKey.generate()
            self._files.write("wireguard.key", key.secret_text.encode() + b"\n")
        return key

    def load(self) -> Settings:
        return self._files.read("settings.json", lambda data: Settings.from_json(json.loads(data))) or Settings()

    def save(self, settings: Settings) -> None:
        self._files.write("settings.json", json.dumps(settings.to_json(), indent=1).encode())

    def load_login(self) -> bytes | None:
        """The last LoginResponse, serialised; it holds credentials."""
        return self._files.read("login", bytes)

    def load_map(self) -> bytes | None:
        """The last SyncResponse with a network map, as saved_map.py packs it."""
        return self._files.read("network-map", bytes)

    @property
    def has_map(self) -> bool:
        return self._files.exists("network-map")

    def save_login(self, data: bytes) -> None:
        self._files.write("login", data)

    def save_map(self, data: bytes) -> None:
        self._files.write("network-map", data, sync=False)

    def load_sessions(self, parse: Callable[[bytes], T]) -> T | None:
        """What `parse` makes of the last ICE sessions; it raises ValueError for what is damaged."""
        return self._files.read("ice-sessions", parse)

    def save_sessions(self, data: bytes) -> None:
        self._files.write("ice-sessions", data, sync=False)

    def forget_sessions(self) -> None:
        self._files.forget("ice-sessions")

    def forget_server(self) -> None:
        """Forget what belongs to a server: login, map, location, who signed in; the key stays."""
        self.forget_map()
        self.save(replace(self.load(), server=None, wanted=False, owner=None, email="", session_ends=None))
        self._files.forget("settings.json", suffixes=(".before",))

    def forget_map(self) -> None:
        """Forget the last login and network map, and the sessions with the peers."""
        self._files.forget("login", "network-map", "ice-sessions")

    @property
    def is_used(self) -> bool:
        return any(self._files.exists(name) for name in ("settings.json", "login", "wireguard.key"))

    def wipe(self) -> None:
        """Remove every file of the profile; the key last, so that what is left half done is still seen as a profile."""
        self._files.forget("settings.json", "login", "network-map", "ice-sessions", "wireguard.key", suffixes=SUFFIXES)


class StateFolder(ProfileFolder):
    """The helper's folder, which is the first profile's as well. Opening it locks it against a second helper.

    Raises:
        AlreadyRunning: another helper uses it.
        NoPermission: it can't be made or read.
    """

    def __init__(self, path: pathlib.Path) -> None:
        super().__init__(path, [])
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.chmod(0o700)
            self._lock = (path / "lock").open("a")
            os.chmod(path / "lock", 0o600)
        except OSError as error:
            raise NoPermission(f"the state folder {path} can't be used: {error.strerror}") from None
        if not try_lock(self._lock):
            self._lock.close()
            raise AlreadyRunning(f"another helper already uses the state folder {path}")

    def close(self) -> None:
        self._lock.close()
