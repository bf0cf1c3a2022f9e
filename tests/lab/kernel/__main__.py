"""`python -m tests.lab.kernel [--only TESTS] [--bench NAMES]`: the lab under a kernel of its own, which has WireGuard and netem.

It runs in a machine that sees this one's files read-only under a layer of memory: whatever is done there goes with it. That is
QEMU where the processor virtualises; elsewhere user-mode Linux, a kernel that is an ordinary program, compiled once; or, where
asked for, QEMU that emulates a processor, some thirty times slower. Debian's kernel comes from the package archive into
build/kernel/. Results and logs are in build/kernel/results/.
"""

import argparse
import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from tests.lab.kernel.machine import MACHINES, NAMES, Machine, best

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[3]
BUILD = ROOT / "build/kernel"
RESULTS = BUILD / "results"
PATIENCE = 900.0  # seconds that the lab waits for things there
MADE = ("build/lab", "build/bench", "build/bench.json", "build/soak", "build/soak.json")
TESTS = "two_machines_meet or path_that_opens or killed_helper or without_its_server or netem"
SOURCES = ("app", "helper", "protocol", "server", "tests")
PASSED_ON = ("COVEY_BENCH_ROUNDS",)
TEST_TIMEOUT = 1800  # seconds


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="tests.lab.kernel", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bench", help="measure these benches instead of running tests")
    parser.add_argument("--only", help="tests, as pytest's -k takes them", default=TESTS)
    parser.add_argument("--command", help="run this shell command in the repository instead")
    parser.add_argument("--machine", choices=NAMES, default=best(), help="what the kernel runs in (here: %(default)s)")
    parser.add_argument("--memory", type=int, default=4096, help="of the machine, in MB")
    parser.add_argument("--hours", type=float, default=2.0, help="end it after so long")
    parser.add_argument("--needs", action="store_true", help="only say what prerequisites.sh must install for it")
    options = parser.parse_args()
    machine = MACHINES[options.machine]
    if options.needs:
        print(machine.needs)
        return 0
    if missing := [program for program in machine.programs if shutil.which(program) is None]:
        print(
            f"missing: {', '.join(missing)}; `sh installers/linux/prerequisites.sh {machine.needs}` installs them",
            file=sys.stderr,
        )
        return 2
    shutil.rmtree(RESULTS, ignore_errors=True)
    RESULTS.mkdir(parents=True)
    shutil.copy(HERE / "inside.sh", RESULTS)
    (RESULTS / "command.sh").write_text(command_of(options))
    # What the kernel of its own cannot write, it would compile again and again.
    subprocess.run(
        (sys.executable, "-m", "compileall", "-q", "app", "helper", "protocol", "server", "tests"), cwd=ROOT, check=False
    )
    try:
        boot(machine, options)
    except OSError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        code = int((RESULTS / "exit-code").read_text())
    except (OSError, ValueError):
        print("the machine ended before the command did; its console is above", file=sys.stderr)
        return 3
    print(f"ended with {code}; results in {RESULTS.relative_to(ROOT)}")
    return code


def command_of(options: argparse.Namespace) -> str:
    """The script that the machine runs."""
    if options.command:
        words = ["sh", "-c", options.command]
    elif options.bench:
        words = [sys.executable, "-m", "tests.bench", "--only", options.bench]
    else:
        words = [sys.executable, "-m", "pytest", "-v", "--color=no", "-m", "lab", "-p", "no:cacheprovider"]
        words += ["-o", f"timeout={TEST_TIMEOUT}", "--durations=0", "--durations-min=1", "-k", options.only, "tests/lab"]
    settings = {
        "PYTHONPATH": os.environ.get("PYTHONPATH") or str(ROOT),
        "COVEY_LAB_KERNEL": options.machine,
        "COVEY_LAB_WIREGUARD": "kernel",
        "COVEY_LAB_PATIENCE": f"{PATIENCE:g}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "COLUMNS": "140",  # the machine's console tells no width
    }
    settings |= {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    lines = [
        f"cd {shlex.quote(str(ROOT))}",
        *(f"export {name}={shlex.quote(value)}" for name, value in settings.items()),
        shlex.join(words),
        "code=$?",
        f"for made in {' '.join(MADE)}; do",
        f"  [ ! -e $made ] || cp -r $made {shlex.quote(str(RESULTS))}/",
        "done",
        "exit $code",
    ]
    return "\n".join(lines) + "\n"


def boot(machine: Machine, options: argparse.Namespace) -> None:
    """Run the machine until it ends itself. Raises OSError where it cannot run."""
    words = machine.prepare(BUILD, RESULTS, options.memory)
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        process.wait(options.hours * 3600)
    except subprocess.TimeoutExpired:
        print(f"the machine was ended after {options.hours:g} hours", file=sys.stderr)
    finally:
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
