"""Covey's programs in the lab, driven as people and scripts drive them: commands, exit codes, and the status they tell."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab.network import SERVER, SERVER6, Lab
from tests.lab.node import PATIENCE, LabError, Node, Process, end, pids_in, wait_for

BIN, OTHER_CLOCK = Path(sys.executable).parent, Path(__file__).with_name("other_clock.py")
READY = "Covey server is up."  # covey-server says so once it serves
NO_KEYRING = "PYTHON_KEYRING_BACKEND=keyring.backends.fail.Keyring"
NO_PROXY = ("-u", "https_proxy", "-u", "HTTPS_PROXY", "-u", "no_proxy", "-u", "NO_PROXY")
Status = dict[str, Any]


class UnixConnection(http.client.HTTPConnection):
    """HTTP to a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Server:
    """`covey-server up` on the lab's server, over TLS with its own certificate unless `plaintext`.

    A second one beside it has a `title` and ports of its own.
    """

    def __init__(
        self, lab: Lab, *flags: str, plaintext: bool = False, title: str = "covey-server", port: int = 443, turn_port: int = 3478
    ) -> None:
        self.node, self.plaintext, self.title = lab.server, plaintext, title
        elsewhere = ("--listen", f"0.0.0.0:{port}", "--listen-turn", f"0.0.0.0:{turn_port}") if port != 443 else ()
        self._flags = (*flags, *elsewhere)
        self.data = lab.scratch / title
        self._link = ""
        self.start()
        self.address = f"http://{SERVER}:{port}"

    def start(self) -> None:
        addresses = [word for address in (SERVER, SERVER6) for word in ("--public-address", address)]
        plain = ["--plaintext"] if self.plaintext else []
        told = self._said().count(READY)
        self.process = self.node.spawn(
            self.title, str(BIN / "covey-server"), "up", "--data-dir", str(self.data), *addresses, *plain, *self._flags
        )

        def is_ready() -> bool:
            if self.process.poll() is not None:
                raise LabError(f"{self.title} ended with {self.process.returncode}: {self._said()[-600:]}")
            return self._said().count(READY) > told

        wait_for(f"{self.title} is up", is_ready)

    def _said(self) -> str:
        return self.node.log(self.title) if (self.node.logs / f"{self.node.name}-{self.title}.log").exists() else ""

    def stop(self) -> None:
        end(self.process)

    def kill(self) -> None:
        """As a loss of power does."""
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        self.stop()
        self.start()

    def ask(self, *words: str) -> Status:
        """Run an administrator's command with --json."""
        answer: Status = self._asked(*words)
        return answer

    def _asked(self, *words: str) -> Any:
        return json.loads(self.node.run(str(BIN / "covey-server"), *words, "--data-dir", str(self.data), "--json").stdout)

    def states_of_keys(self) -> set[str]:
        """Which of valid, expired, revoked and used up there are."""
        return {key["state"] for key in self._asked("setup-keys", "list")}

    def people(self) -> list[Status]:
        """Who has an account."""
        found: list[Status] = self._asked("users", "list")
        return found

    def setup_key(self, *flags: str) -> Status:
        """A fresh key: reusable unless flags say otherwise; the key itself is under `key`, its number under `id`."""
        return self.ask("setup-keys", "create", "--name", "lab", *(flags or ("--reusable",)))

    def join_link(self) -> str:
        """A link that carries a one-off setup key."""
        return str(self.ask("join-link", "--with-setup-key")["link"])

    def where(self) -> list[str]:
        """The words that tell `covey up` which server to join."""
        if self.plaintext:
            return ["--management-url", self.address]
        self._link = self._link or str(self.ask("join-link")["link"])
        return ["--join", self._link]


@dataclass(eq=False)
class Member:
    """One machine in the mesh: a helper on a host, and the CLI that talks to it.

    Attributes:
        clock: seconds by which the helper's clock is ahead; negative: behind.
        environment: of the helper, as `NAME=VALUE`; a proxy of the machine that runs the lab is none of the lab's.
    """

    node: Node
    wireguard: str = os.environ.get("COVEY_LAB_WIREGUARD", "auto")
    log_level: str = "info"
    clock: float = 0.0
    environment: tuple[str, ...] = ()
    folder: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.node.name}-", dir=self.node.scratch))
        self.socket = self.folder / "helper.sock"
        self.interface = f"cv{os.getpid() % 100000}{self.node.name}"[:15]
        self.process: Process | None = None

    @property
    def name(self) -> str:
        return self.node.name

    def launch(self) -> None:
        """Start the helper without waiting for it."""
        words = ("--state-dir", str(self.folder / "state"), "--socket", str(self.socket), "--interface", self.interface)
        program = [sys.executable, str(OTHER_CLOCK), f"{self.clock:g}"] if self.clock else [str(BIN / "covey-helper")]
        program = ["env", *NO_PROXY, *self.environment, *program]
        self.process = self.node.spawn(
            "covey-helper", *program, "run", *words, "--wireguard", self.wireguard, "--log-level", self.log_level
        )

    def ready(self) -> None:
        """Wait until the helper answers."""

        def answers() -> bool:
            if self.process is not None and self.process.poll() is not None:
                raise LabError(
                    f"{self.name}: covey-helper ended with {self.process.returncode}: {self.node.log('covey-helper')[-600:]}"
                )
            with contextlib.suppress(OSError, http.client.HTTPException):
                return bool(self.status())
            return False

        wait_for(f"{self.name}: the helper answers", answers)

    def start(self) -> None:
        self.launch()
        self.ready()

    def kill(self) -> None:
        """As a loss of power does to the helper: no chance to tidy up. Its wireguard-go goes too."""
        for pid in pids_in({self.node.namespace}):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if any(word.endswith((b"covey-helper", b"wireguard-go")) for word in words):
                    os.kill(pid, signal.SIGKILL)
        if self.process is not None:
            self.process.wait(PATIENCE)

    def stop(self) -> None:
        if self.process is not None:
            end(self.process)

    def covey(self, *words: str, check: bool = True, timeout: float = 2 * PATIENCE) -> Any:
        """Run the CLI; the result has `returncode`, `stdout` and `stderr`."""
        return self.node.run(*self.covey_words(*words), check=check, timeout=timeout)

    def covey_words(self, *words: str) -> tuple[str, ...]:
        """The CLI as a person without a desktop runs it, at home in this member's folder."""
        home = f"HOME={self.folder}", f"XDG_DATA_HOME={self.folder}/data", f"XDG_CONFIG_HOME={self.folder}/config"
        bare = "-u", "DISPLAY", "-u", "WAYLAND_DISPLAY", "-u", "DBUS_SESSION_BUS_ADDRESS", "-u", "BROWSER"
        return "env", *NO_PROXY, *bare, *home, NO_KEYRING, str(BIN / "covey"), "--socket", str(self.socket), *words

    def forget_tokens(self) -> None:
        """Lose what would renew the session without the person."""
        shutil.rmtree(self.folder / "data", ignore_errors=True)

    def keyfile(self, key: str) -> str:
        """The path of a file that holds this setup key."""
        path = self.folder / "setup-key"
        path.write_text(f"{key}\n")
        return str(path)

    def up(self, server: Server, key: str, tries: int = 1) -> None:
        """Join. `tries`: how often to say `up` where the line may lose so much that the server counts as unreachable."""
        words = ("--setup-key-file", self.keyfile(key), "--hostname", self.name, "--timeout", f"{PATIENCE:g}")
        for left in reversed(range(tries)):
            if self.covey("up", *server.where(), *words, check=not left).returncode == 0:
                return

    def ask(self, method: str, path: str, body: object = None) -> Status:
        """Talk to the helper's local API as the CLI does, without the cost of starting it."""
        with contextlib.closing(UnixConnection(self.socket)) as connection:
            connection.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer: Status = json.loads(response.read() or b"{}")
        if response.status >= 400:
            raise LabError(f"{self.name}: {method} {path}: {answer.get('error', response.status)}")
        return answer

    def status(self) -> Status:
        return self.ask("GET", "/v1/status")

    @property
    def address(self) -> str:
        """Our overlay address; waits for the first one."""
        return str(wait_for(f"{self.name} has an overlay address", lambda: self.status().get("ip"))).split("/")[0]

    def peer(self, other: "Member") -> Status:
        """What our status says about the other one; empty while it does not know it."""
        return self.peer_with_key(other.status()["publicKey"])

    def peer_with_key(self, key: str) -> Status:
        details: list[Status] = self.status()["peers"]["details"]
        return next((peer for peer in details if peer["publicKey"] == key), {})

    def sees(self, other: "Member", paths: Iterable[str], seconds: float = PATIENCE) -> Status:
        """Wait until our status shows the other one connected by one of these paths."""
        wanted, seen, key = set(paths), Status(), other.status()["publicKey"]

        def there() -> bool:
            nonlocal seen
            seen = self.peer_with_key(key)
            return seen.get("status") == "Connected" and seen.get("connectionType") in wanted

        try:
            wait_for("", there, seconds)
        except LabError:
            brief = {k: seen.get(k) for k in ("status", "connectionType", "reason", "lastWireguardHandshake")}
            raise LabError(
                f"{self.name} should see {other.name} by {' or '.join(sorted(wanted))} in {seconds:g} s, says {brief}"
            ) from None
        return seen

    def reaches(self, other: "Member", within: float = 1.0) -> None:
        """Ping the other one, each time for so many seconds, until it answers."""
        address = other.address
        wait_for(f"{self.name} pings {other.name} ({address})", lambda: self.node.answers(address, within))


class Login:
    """`covey login --json` as a script runs it: events as lines.

    `browser`: a command that opens pages, on a desktop that has no other; without one it is `covey login --no-browser`.
    """

    def __init__(self, member: Member, *words: str, browser: str = "") -> None:
        self._member, self._title = member, f"covey-login{len(member.node.processes)}"
        program, *command = member.covey_words("login", "--json", *([] if browser else ["--no-browser"]), *words)
        first = command.index(str(BIN / "covey"))
        desktop = ["DISPLAY=:99", f"BROWSER={browser}", "PATH=/nowhere"] if browser else []
        command = [program, *command[:first], *desktop, *command[first:]]
        self._process = member.node.spawn(self._title, *command)
        self._seen = 0

    def event(self, kind: str) -> Status:
        """Wait for the next event, which is of this kind."""

        def next_line() -> Status | None:
            code = self._process.poll()  # before its words: none come after that
            lines = [line for line in self._member.node.log(self._title).splitlines() if line.startswith("{")]
            if len(lines) > self._seen:
                told: Status = json.loads(lines[self._seen])
                return told
            if code is not None:
                raise LabError(f"covey login ended with {code}: {self._member.node.log(self._title)[-600:]}")
            return None

        told = wait_for(f"covey login says {kind}", next_line)
        self._seen += 1
        if told.get("event") != kind:
            raise LabError(f"covey login said {told}, not {kind}")
        return told

    def ended(self) -> int:
        """Its exit code, once it has ended."""
        return self._process.wait(PATIENCE)

    def end(self) -> None:
        end(self._process)
