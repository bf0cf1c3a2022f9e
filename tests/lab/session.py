"""A lab that stays up between commands: what `covey-lab up` made, remembered in one file."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.lab.network import Lab
from tests.lab.node import NAMESPACES, LabError, remove
from tests.lab.programs import Member, Server
from tests.lab.rootless import runtime_folder
from tests.lab.scenarios import Scenario

PREFIX = "covey-lab-"


@dataclass(frozen=True, slots=True)
class Session:
    """What is up.

    Attributes:
        nodes: namespace by the name of the host or router.
        sockets: the helper's socket by the name of the host; empty in a bare lab.
    """

    scenario: str
    scratch: str
    nodes: dict[str, str]
    addresses: dict[str, str]
    sockets: dict[str, str]

    @classmethod
    def load(cls) -> "Session":
        """Raises LabError if no lab is up."""
        try:
            return cls(**json.loads(_file().read_text()))
        except FileNotFoundError:
            raise LabError("no lab is up; begin with `covey-lab up two-nats`") from None
        except (ValueError, TypeError):
            raise LabError(f"{_file()} is damaged; `covey-lab down` clears it away") from None

    def save(self) -> None:
        _file().parent.mkdir(parents=True, exist_ok=True)
        _file().write_text(json.dumps(asdict(self), indent=1) + "\n")


def _file() -> Path:
    return runtime_folder() / "lab.json"


def is_up() -> bool:
    return _file().exists() or bool(_left())


def begin(scenario: Scenario, *, bare: bool) -> Session:
    """Build the networks, and start and join the programs unless `bare`. Whatever fails, nothing is left behind."""
    if is_up():
        raise LabError("a lab is up already; end it with `covey-lab down`")
    lab = Lab(prefix=PREFIX)
    lab.__enter__()
    try:
        hosts = scenario.build(lab)
        sockets = {} if bare else {member.name: str(member.socket) for member in join(lab, [Member(host) for host in hosts])}
        nodes = {name: node.namespace for name, node in lab.nodes.items()}
        addresses = {name: node.address or node.address6 for name, node in lab.nodes.items()}
        session = Session(scenario.name, str(lab.scratch), nodes, addresses, sockets)
        session.save()
    except BaseException:
        lab.close()
        raise
    return session


def join(lab: Lab, members: list[Member]) -> list[Member]:
    """Start a server and these helpers, and join each with a link of its own."""
    for member in members:
        member.launch()
    server = Server(lab)
    for member in members:
        member.ready()
        member.covey("up", "--join", server.join_link(), "--hostname", member.name)
    return members


def finish() -> bool:
    """Take the lab down; False if there was none."""
    was_up = is_up()
    try:
        scratch = Session.load().scratch
    except LabError:
        scratch = ""
    remove(_left())
    if scratch:
        shutil.rmtree(scratch, ignore_errors=True)
    _file().unlink(missing_ok=True)
    return was_up


def _left() -> set[str]:
    return {entry.name for entry in NAMESPACES.iterdir() if entry.name.startswith(PREFIX)} if NAMESPACES.exists() else set()
