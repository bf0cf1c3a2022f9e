"""`python -m tests.bench [--only NAME,...]`: measure, print a table, write build/bench.json. Ends with 1 if a bench broke.

What the programs of each bench wrote stays in build/bench until its next run. A goal that is missed does not end it
with 1: figures depend on the machine, and the table says what holds.
"""

import argparse
import importlib
import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.figure import Figure
from tests.bench.logs import LOGS

OUTPUT = Path(__file__).parents[2] / "build/bench.json"
BENCHES = {
    "connect": "tests.bench.connect:run",
    "relayed-first-packet": "tests.bench.connect:run_relayed",
    "direct-throughput": "tests.bench.throughput:run_direct",
    "relayed-throughput": "tests.bench.throughput:run_relayed",
    "idle": "tests.bench.idle:run",
    "idle-lazy": "tests.bench.idle:run_crowd",
    "recovery": "tests.bench.recovery:run",
    "recovery-relay": "tests.bench.recovery:run_relay",
    "port_search": "tests.bench.port_search:run",
    "turn-rate": "tests.bench.turn_rate:run",
    "tray": "tests.bench.tray:run",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.bench", description=__doc__)
    parser.add_argument("--only", help="these benches, separated by commas: " + ", ".join(BENCHES))
    options = parser.parse_args()
    names = options.only.split(",") if options.only else list(BENCHES)
    if unknown := [name for name in names if name not in BENCHES]:
        parser.error(f"there is no bench {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
    console, figures, broken = Console(stderr=True, highlight=False), [], []
    for name in names:
        began = time.monotonic()
        try:
            figures += measure(name)
            console.print(f"[dim]{name}: measured in {time.monotonic() - began:.0f} s[/]")
        except Exception:  # one broken bench must not hide the others' figures
            broken.append(name)
            console.print(f"[red]{name} broke; its programs' logs are in {LOGS.relative_to(OUTPUT.parents[1])}:[/]")
            console.print_exception()
    Console(highlight=False, width=None if sys.stdout.isatty() else 140).print(table_of(figures))
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps([asdict(figure) for figure in figures], indent=1) + "\n")
    console.print(f"written to {OUTPUT.relative_to(Path.cwd()) if OUTPUT.is_relative_to(Path.cwd()) else OUTPUT}")
    return 1 if broken else 0


def measure(name: str) -> list[Figure]:
    module, _, function = BENCHES[name].partition(":")
    result: list[Figure] = getattr(importlib.import_module(module), function)()
    return result


def table_of(figures: list[Figure]) -> Table:
    table = Table("figure", "measured", "goal", "holds", "compared with", "its figure", box=None, header_style="dim")
    for figure in figures:
        holds = ("[green]yes[/]" if figure.holds else "[red]no[/]") if figure.goal else ""
        peer_value = "" if figure.peer_value is None else f"{figure.peer_value:.3g} {figure.unit}"
        table.add_row(figure.name, f"{figure.value:.3g} {figure.unit}", figure.goal, holds, figure.peer, peer_value)
    return table


if __name__ == "__main__":
    sys.exit(main())
