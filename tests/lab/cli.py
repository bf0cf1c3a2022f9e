"""`covey-lab`: the laboratory by hand. Networks with real NATs on this one machine, with Covey running in them."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.lab import rootless, session
from tests.lab.demo import demo as run_demo
from tests.lab.node import LabError
from tests.lab.programs import BIN
from tests.lab.scenarios import SCENARIOS

app = typer.Typer(
    help="Networks with real NATs on this one machine, and Covey running in them.", no_args_is_help=True, add_completion=False
)
console = Console(highlight=False, soft_wrap=True)


@app.command("list")
def list_scenarios() -> None:
    """Show the scenarios that `up` can build."""
    table = Table("scenario", "two machines", "path", box=None, header_style="dim")
    for scenario in SCENARIOS.values():
        table.add_row(
            scenario.name,
            scenario.title,
            " or ".join({"P2P": "direct", "Relayed": "relayed"}[path] for path in sorted(scenario.paths)),
        )
    console.print(table)


@app.command()
def up(
    scenario: Annotated[str, typer.Argument(help="One of `covey-lab list`.")] = "two-nats",
    bare: Annotated[bool, typer.Option("--bare", help="Only the networks, without Covey in them.")] = False,
) -> None:
    """Build a scenario's networks, start a server and two helpers in them, and leave them running."""
    if scenario not in SCENARIOS:
        raise LabError(f"there is no scenario {scenario!r}; `covey-lab list` shows them")
    if rootless.is_needed():
        was_held = rootless.holder() is not None
        if not was_held:
            rootless.start_holder()
        code = rootless.run_inside("up", scenario, *(["--bare"] if bare else []))
        if code and not was_held:
            rootless.stop_holder()
        raise typer.Exit(code)
    now_up = session.begin(SCENARIOS[scenario], bare=bare)
    console.print(f"[bold]{scenario}[/] is up: {SCENARIOS[scenario].title}.")
    show(now_up)
    first, second = ("alice", "bob")
    console.print("\nTry next:")
    if not bare:
        console.print(f"  covey-lab shell {first} covey status          what {first}'s machine says")
        console.print(f"  covey-lab shell {first} covey ping {second}        through the tunnel, with the path")
    console.print(f"  covey-lab shell {first}                       a shell on {first}'s machine")
    console.print("  covey-lab down                              take it all away again")


@app.command()
def status() -> None:
    """Show what is up, and what each helper says of its peers."""
    if rootless.is_needed():
        raise typer.Exit(rootless.run_inside("status"))
    now_up = session.Session.load()
    console.print(f"[bold]{now_up.scenario}[/] is up.")
    show(now_up)
    for name, socket in now_up.sockets.items():
        console.print(f"\n[bold]{name}[/]")
        sys.stdout.flush()
        enter = ("ip", "netns", "exec", now_up.nodes[name])
        os.spawnvp(os.P_WAIT, "ip", [*enter, str(BIN / "covey"), "--socket", socket, "status"])


def show(now_up: session.Session) -> None:
    """The nodes as a table: where each one is, and how to get in."""
    table = Table("node", "address", "namespace", box=None, header_style="dim")
    for name, namespace in now_up.nodes.items():
        table.add_row(name, now_up.addresses[name], namespace)
    console.print(table)


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def shell(
    name: Annotated[str, typer.Argument(help="A host or router of the lab; none lists them.")] = "",
    command: Annotated[list[str] | None, typer.Argument(help="Run this there instead of a shell.")] = None,
) -> None:
    """Open a shell in one of the lab's machines, or run a command there."""
    if rootless.is_needed():
        raise typer.Exit(rootless.run_inside("shell", *([name] if name else []), *(command or [])))
    now_up = session.Session.load()
    if not name:
        show(now_up)
        return
    if name not in now_up.nodes:
        raise LabError(f"the lab has no machine {name!r}; it has {', '.join(now_up.nodes)}")
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"}
    if name in now_up.sockets:
        environment["COVEY_SOCKET"] = now_up.sockets[name]
    words = command or _shell_words(name, Path(now_up.scratch))
    os.execvpe("ip", ["ip", "netns", "exec", now_up.nodes[name], *words], environment)


def _shell_words(name: str, folder: Path) -> list[str]:
    """A shell whose prompt says where it is."""
    start = folder / f"{name}.rc"
    start.write_text(f"[ -f ~/.bashrc ] && . ~/.bashrc\nPS1='[{name}] \\w\\$ '\n")
    return ["bash", "--rcfile", str(start)]


@app.command()
def down() -> None:
    """End every program of the lab and take its networks away."""
    if rootless.is_needed():
        if rootless.holder() is not None:
            rootless.run_inside("down")
            rootless.stop_holder()
        else:
            console.print("No lab was up.")
        return
    console.print("The lab is gone." if session.finish() else "No lab was up.")


@app.command()
def demo() -> None:
    """Two machines behind two NATs meet: first by the relay, then directly. Takes less than a minute."""
    if rootless.is_needed():
        raise typer.Exit(rootless.run_once("demo"))
    if not run_demo():
        raise typer.Exit(1)


def main() -> None:
    """The program `covey-lab`."""
    os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
    signal.signal(signal.SIGTERM, _leave)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _leave)
    _guard(app)


def _leave(number: int, _frame: object) -> NoReturn:
    """End as after Ctrl-C, so that the lab is taken away."""
    sys.exit(128 + number)


def _guard(program: Callable[[], None]) -> None:
    try:
        program()
    except LabError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"[red]{escape(str(error))}[/]")
        sys.exit(1)


if __name__ == "__main__":
    main()
