"""What the helper remembers over restarts: its key, its server, whether it should be up, the last network map.

Every file is the owner's only (0600), replaced as a whole (written aside, synced, renamed), and read back with suspicion:
a damaged one is kept beside its successor as `NAME.damaged`, and the one before it (`NAME.before`) is used where it is whole.
"""

import contextlib
import json
import logging
import os
import pathlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Self, TypeVar

from protocol.errors import AlreadyRunning, NoPermission, StateUnreadable
from protocol.file_lock import try_lock
from protocol.join_link import ServerLocation
from protocol.keys import PrivateKey

log = logging.getLogger(__name__)
T = TypeVar("T")

VERSION = 1
MAX_SIZE = 32 * 1024 * 1024  # bytes of a state file


@dataclass(frozen=True, slots=True)
class Settings:
    """Attributes:
    server: the one we joined, None before that.
    wanted: the person asked for the tunnel to be up.
    wireguard_port: chosen at random once and kept; 0 before that.
    """

    server: ServerLocation | None = None
    hostname: str | None = None
    wanted: bool = False
    wireguard_port: int = 0

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
        }

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read what `to_json` wrote. Raises ValueError for anything else."""
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
                return cls(_server_from_json(entry) if entry is not None else None, hostname, wanted, port)
            case _:
                raise ValueError("it does not hold the settings")


def _server_from_json(entry: dict[str, Any]) -> ServerLocation:
    match entry:
        case {"hosts": [str(), *_] as hosts, "port": int(port), "fingerprint": str() | None as pin, "tls": bool(tls)} if (
            1 <= port <= 65535 and all(isinstance(host, str) and host for host in hosts)
        ):
            return ServerLocation(tuple(hosts), port, bytes.fromhex(pin) if pin is not None else None, tls)
        case _:
            raise ValueError("it does not say where the server is")


class StateFolder:
    """The helper's folder. Opening it locks it against a second helper.

    Raises:
        AlreadyRunning: another helper uses it.
        NoPermission: it can't be made or read.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.notes: list[str] = []  # sentences about files that were damaged
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

    # ---- the three things kept

    def private_key(self) -> PrivateKey:
        """This machine's key, made on the first call. Raises StateUnreadable if it is there but damaged."""
        key = self._read("wireguard.key", lambda data: PrivateKey.from_text(data.decode().strip()))
        if key is None:
            if (self.path / "wireguard.key.damaged").exists() and not (self.path / "wireguard.key").exists():
                self.notes.append("This machine's key was damaged; it has a new one and must join again.")
            key = PrivateKey.generate()
            self._write("wireguard.key", key.secret_text.encode() + b"\n")
        return key

    def load(self) -> Settings:
        return self._read("settings.json", lambda data: Settings.from_json(json.loads(data))) or Settings()

    def save(self, settings: Settings) -> None:
        self._write("settings.json", json.dumps(settings.to_json(), indent=1).encode())

    def load_login(self) -> bytes | None:
        """The last LoginResponse, serialised; it holds credentials."""
        return self._read("login", bytes)

    def load_map(self) -> bytes | None:
        """The last SyncResponse with a network map, serialised."""
        return self._read("network-map", bytes)

    def save_login(self, data: bytes) -> None:
        self._write("login", data)

    def save_map(self, data: bytes) -> None:
        self._write("network-map", data, sync=False)

    def forget_server(self) -> None:
        """Forget what belongs to a server: login, map, location; the key stays."""
        self.forget_map()
        self.save(replace(self.load(), server=None, wanted=False))
        (self.path / "settings.json.before").unlink(missing_ok=True)

    def forget_map(self) -> None:
        """Forget the last login and network map."""
        for name in ("login", "network-map"):
            for suffix in ("", ".before"):
                (self.path / f"{name}{suffix}").unlink(missing_ok=True)

    # ---- files

    def _read(self, name: str, parse: Callable[[bytes], T]) -> T | None:
        file = self.path / name
        for candidate in (file, self.path / f"{name}.before"):
            try:
                if candidate.stat().st_size > MAX_SIZE:
                    raise ValueError("it is larger than it could be")
                data = candidate.read_bytes()
                if not data:
                    raise ValueError("it is empty")
                return parse(data)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StateUnreadable(f"{candidate} can't be read: {error.strerror}") from None
            except (ValueError, RecursionError) as error:
                log.warning("%s is damaged (%s); kept as %s.damaged", candidate, error, candidate.name)
                self.notes.append(f"The state file {name} was damaged; it is kept as {candidate.name}.damaged.")
                candidate.replace(self.path / f"{candidate.name}.damaged")
        return None

    def _write(self, name: str, data: bytes, *, sync: bool = True) -> None:
        file, aside = self.path / name, self.path / f"{name}.new"
        with _owner_only(aside) as out:
            out.write(data)
            if sync:
                out.flush()
                os.fsync(out.fileno())
        if file.exists():
            with contextlib.suppress(OSError):
                os.replace(file, self.path / f"{name}.before")
        os.replace(aside, file)


@contextlib.contextmanager
def _owner_only(path: pathlib.Path) -> Iterator[Any]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as out:
        yield out
