"""`python -m tests.soak [--minutes 30] [--seed N] [--peers 6] [--only KIND,...]`: endurance under random faults.

Prints a line a minute and every violation when it is seen, then a table; writes build/soak.json; the programs' logs stay in
build/soak/. Ends with 1 if anything was that must never be. The same seed makes the same faults at the same moments.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import statistics
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.lab.network import Lab
from tests.lab.node import wait_for
from tests.soak.field import SITES, Field
from tests.soak.leaks import KEPT, growth
from tests.soak.plan import Kind, Planner
from tests.soak.pulse import FairClock
from tests.soak.run import Run

BUILD = Path(__file__).parents[2] / "build"
LOGS, REPORT = BUILD / "soak", BUILD / "soak.json"


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--peers", type=int, default=6)
    parser.add_argument("--only", help="only faults of these kinds, separated by commas: " + ", ".join(Kind))
    parser.add_argument("--log-level", default="info", help="of the helpers")
    options = parser.parse_args()
    if options.peers < 2 or options.minutes <= 0:
        parser.error("an endurance run has two peers or more and lasts a while")
    try:
        kinds = [Kind(word) for word in options.only.split(",")] if options.only else list(Kind)
    except ValueError as error:
        parser.error(str(error))
    os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160, soft_wrap=True)
    console.print(f"seed {options.seed}, {options.minutes:g} minutes, {options.peers} peers")
    shutil.rmtree(LOGS, ignore_errors=True)
    clock = FairClock()
    try:
        with Lab(LOGS) as lab:
            run = endure(lab, clock, console, options, kinds)
    finally:
        clock.close()
    console.print(table_of(run))
    write_report(run, clock, options)
    console.print(f"{len(run.done)} faults, {len(run.findings)} violations; report in {REPORT}, logs in {LOGS}")
    return 1 if run.findings else 0


def endure(lab: Lab, clock: FairClock, console: Console, options: argparse.Namespace, kinds: list[Kind]) -> Run:
    field = Field.build(lab, options.peers, options.log_level)
    members = field.members.values()
    wait_for("everybody is connected", lambda: all(m.status()["peers"]["connected"] == len(members) - 1 for m in members))
    console.print("everybody is connected; faults begin")
    plan = Planner(options.seed, dict(field.places), list(SITES), kinds).plan(options.minutes * 60)
    run = Run(field, clock, lambda line: console.print(line, markup=False))
    asyncio.run(run.carry_out(plan))
    return run


def table_of(run: Run) -> Table:
    """Faults by kind: how many, how long tunnels that went silent took to answer again, and violations by kind."""
    table = Table("fault", "times", "tunnels silent", "median s", "worst s", box=None, header_style="dim")
    times = Counter(fault.kind for fault in run.done)
    for kind in Kind:
        waits = run.judge.recoveries.get(kind, [])
        figures = (f"{statistics.median(waits):.1f}", f"{max(waits):.1f}") if waits else ("", "")
        table.add_row(kind, str(times[kind]), str(len(waits)), *figures)
    for violation, count in sorted(Counter(finding.violation.kind for finding in run.findings).items()):
        table.add_row(f"[red]{violation}[/]", str(count), "", "", "")
    return table


def write_report(run: Run, clock: FairClock, options: argparse.Namespace) -> None:
    lives = [(life.name, growth(life.samples, KEPT.get(life.name, 0.0))) for life in run.processes.lives.values()]
    report = {
        "seed": options.seed,
        "minutes": options.minutes,
        "peers": options.peers,
        "slowness": round(clock.slowness, 2),
        "faults": [str(fault) for fault in run.done],
        "recoveries": {kind: [round(wait, 2) for wait in waits] for kind, waits in run.judge.recoveries.items()},
        "memory": [
            {"program": name, "warm_kb": grown[0], "growth_kb": grown[1], "files": grown[2]} for name, grown in lives if grown
        ],
        "violations": [asdict(finding) for finding in run.findings],
    }
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
