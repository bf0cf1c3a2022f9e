"""Command lines that are read without typer: as typer would have read them, and without what is slow to import."""

import asyncio
import functools
import os
import sys
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.cli.commands import COMMANDS, Connection, Tuning
from app.cli.full import program
from app.cli.options import Command, Group, Option, call, parameters
from app.cli.plain import read
from app.local_call import DEFAULT_SOCKET
from protocol.errors import UsageError
from tests.unit.app.cli.conftest import Covey

HEAVY = {"typer", "pydantic", "rich", "asyncio", "aiohttp"}


class Recorder:
    """Stands in for every command of a group, with what each takes, and keeps the calls."""

    def __init__(self, group: Group) -> None:
        self.calls: list[tuple[str, str, dict[str, Any]]] = []
        self.group = self._standing_in(group)

    def _standing_in(self, group: Group) -> Group:
        members = {
            name: self._standing_in(member) if isinstance(member, Group) else self._recording(member)
            for name, member in group.members.items()
        }
        return Group(group.help, members)

    def _recording(self, command: Command) -> Command:
        @functools.wraps(command)
        def record(socket: str, **values: Any) -> None:
            self.calls.append((command.__name__, socket, {**defaults, **values}))

        defaults = getattr(command, "__kwdefaults__", None) or {}
        record.__kwdefaults__ = defaults
        return record


RECORDER = Recorder(COMMANDS)
TYPER = program(RECORDER.group)


def commands(group: Group = COMMANDS, before: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Command]]:
    """Every command, with the words that choose it."""
    found: list[tuple[tuple[str, ...], Command]] = []
    for name, member in group.members.items():
        words = (*before, name)
        found += commands(member, words) if isinstance(member, Group) else [(words, member)]
    return found


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """Words that fit a command more often than not."""
    words, command = draw(st.sampled_from(commands()))
    texts = st.sampled_from(
        ["5", "0", "2.5", "3600", "3601", "1e1", "5.", "007", "-1", "nan", "٣", "9" * 20, "b", "-", "--", "", "ü x"]
    )
    pieces = [st.tuples(texts)]
    for each in parameters(command):
        for name in each.declared.names.split() if isinstance(each.declared, Option) else []:
            pieces += [st.tuples(st.just(name)) if each.kind is bool else st.tuples(st.just(name), texts)] * 2
    rest = [word for piece in draw(st.lists(st.one_of(pieces), max_size=4)) for word in piece]
    before = draw(st.sampled_from([(), ("--socket", "/tmp/s"), ("--socket", "-"), ("--socket",)]))
    return [*before, *words, *rest]


@given(command_lines())
@settings(max_examples=150, deadline=None)
@example(["up", "--hostname", "a", "--hostname", "b", "--json", "--json"])
@example(["ping", "bob", "-c", "3"])
@example(["profile", "add", "bob"])
def test_what_is_read_plainly_is_what_typer_reads(words: list[str]) -> None:
    reading = read(words, RECORDER.group)
    if reading is None:
        return
    RECORDER.calls.clear()
    call(reading.command, reading.socket or DEFAULT_SOCKET, reading.values)
    TYPER(words, standalone_mode=False)
    plainly, by_typer = RECORDER.calls
    assert plainly == by_typer


@pytest.mark.parametrize(
    "words",
    [
        "up", "up --join covey://192.0.2.1/join --timeout 3600 --json", "up --setup-key-file - --hostname laptop", "login",
        "--socket /tmp/s status --json", "down", "status --watch", "ping bob -c 2", "ping --count 2 bob",
        "profile use bob --json",
    ],
)  # fmt: skip
def test_what_people_type_is_read_plainly(words: str) -> None:
    assert read(words.split(), COMMANDS) is not None


@pytest.mark.parametrize(
    "words",
    [
        "", "--help", "up --help", "nonsense", "profile", "profile nonsense", "--socket", "--socket /tmp/s", "up extra",
        "up --hostname", "up --hostname --json", "up --timeout=5", "up --timeout 0", "up --timeout 3601", "up --timeout 1e1",
        "up --no-such-option", "ping", "ping -x", "ping bob alice", "ping bob -c2", "ping bob -c 1.5", "ping bob -c 0",
        "down --json", "up --hostname \udcff",
    ],
)  # fmt: skip
def test_help_mistakes_and_the_unusual_are_left_to_typer(words: str) -> None:
    assert read(words.split(" ") if words else [], COMMANDS) is None


def test_values_reach_the_command_and_the_rest_keeps_its_default() -> None:
    RECORDER.calls.clear()
    reading = read(["up", "--hostname", "laptop", "--timeout", "2.5", "--no-login"], RECORDER.group)
    assert reading is not None
    call(reading.command, "/tmp/s", reading.values)
    connection = Connection(hostname="laptop", timeout=2.5)
    expected = {"connection": connection, "tuning": Tuning(), "no_login": True, "as_json": False}
    assert RECORDER.calls == [("up", "/tmp/s", expected)]


def test_settings_are_read_and_taken_back() -> None:
    words = "up --keepalive 20 --mtu 0 --interface-blacklist eth1,vbox* --lazy off"
    reading = read(words.split(), COMMANDS)
    assert reading is not None
    assert reading.values == {"keepalive": 20, "mtu": 0, "interface_blacklist": "eth1,vbox*", "lazy": "off"}
    settings = Tuning(**reading.values).settings
    assert settings == {"keepalive": 20, "mtu": 0, "interface_blacklist": ["eth1", "vbox*"], "lazy_connections": False}
    assert Tuning(interface_blacklist="none").settings == {"interface_blacklist": []}
    assert Tuning().settings == {}
    for mistake in (Tuning(lazy="maybe"), Tuning(port_mapping=True, no_port_mapping=True)):
        with pytest.raises(UsageError):
            mistake.settings  # noqa: B018


@pytest.mark.parametrize(("option", "is_disabled"), [("--no-port-mapping", True), ("--port-mapping", False)])
def test_port_mapping_is_switched_off_and_on_again(option: str, is_disabled: bool) -> None:
    reading = read(["up", option], COMMANDS)
    assert reading is not None
    assert Tuning(**reading.values).settings == {"disable_port_mapping": is_disabled}


@pytest.mark.parametrize("words", [["up"], ["down"], ["status"], ["status", "--json"], ["peers"], ["version"]])
async def test_the_helper_is_asked_before_anything_slow_is_imported(covey: Covey, words: list[str]) -> None:
    program = "import sys; from app.cli.main import run; run(sys.argv[1:]); print(*sys.modules)"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, *words,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env={**os.environ, "COVEY_SOCKET": str(covey.socket)},
    )  # fmt: skip
    out, err = await process.communicate()
    assert words == ["version"] or b"No helper listens" in err
    assert not HEAVY & {*out.decode().split()}
