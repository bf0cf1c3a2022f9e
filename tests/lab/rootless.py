"""The lab without root: a user namespace in which we are root, held by a sleeping process, entered by each command."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.lab.node import LabError

INSIDE = "COVEY_LAB_INSIDE"  # set in the environment of a command that runs in the user namespace
SET_UP = """
set -e
exec 9<"$STATE"
mount -t tmpfs tmpfs /run
mkdir -p /run/netns /run/wireguard /run/etc "$STATE"
mount --bind /proc/self/fd/9 "$STATE"
cp -r /etc/. /run/etc 2>/dev/null || true
rm -f /run/etc/resolv.conf
touch /run/etc/resolv.conf
mount --bind /run/etc /etc
ip link set lo up
exec 9<&-
echo ready
"""
UNSHARE = ("unshare", "--user", "--map-root-user", "--net", "--mount")


def is_needed() -> bool:
    return os.geteuid() != 0


def runtime_folder() -> Path:
    """Where the state of a lab by hand is kept: root's in /run, another user's in the folder of the session."""
    if INSIDE in os.environ:
        return Path(os.environ["STATE"])
    base = Path("/run") if os.geteuid() == 0 else Path(os.environ.get("XDG_RUNTIME_DIR") or f"/tmp/covey-lab-{os.getuid()}")
    return base / "covey-lab"


def check() -> None:
    """Raise LabError with a plain sentence if this kernel or machine has no room for a lab without root."""
    if shutil.which("unshare") is None:
        raise LabError("without root the lab needs `unshare` (package util-linux)")
    done = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True)
    if done.returncode:
        raise LabError(
            f"this kernel does not let you make a user namespace ({done.stderr.strip()}): run it as root, or let "
            "the administrator set kernel.unprivileged_userns_clone=1 and kernel.apparmor_restrict_unprivileged_userns=0"
        )
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        raise LabError(
            "without root the tunnels need /dev/net/tun, which you may not open here: run it as root, or `chmod 666 /dev/net/tun`"
        )


def _environment() -> dict[str, str]:
    folder = runtime_folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
    return {**os.environ, "STATE": str(folder), "PATH": path}


def run_once(*words: str) -> int:
    """Run a `covey-lab` command in a user namespace that ends with it."""
    check()
    script = f'{SET_UP}exec "$@"'
    environment = {**_environment(), INSIDE: "1"}
    again = (sys.executable, "-m", "tests.lab.cli", *words)
    return subprocess.run(
        [*UNSHARE, "sh", "-c", script.replace("echo ready\n", ""), "covey-lab", *again], env=environment
    ).returncode


def holder() -> int | None:
    """The process that holds our user namespace, if there is one."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((runtime_folder() / "holder").read_text())
        if b"covey-lab-holder" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return None


def start_holder() -> None:
    """Make a user namespace that lasts until `stop_holder`."""
    check()
    (runtime_folder() / "lab.json").unlink(missing_ok=True)  # of a lab that went with its user namespace
    words = [*UNSHARE, "sh", "-c", f"{SET_UP}while :; do sleep 3600; done", "covey-lab-holder"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        words, env=_environment(), stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )
    if process.stdout is None or process.stdout.readline().strip() != "ready":
        process.kill()
        raise LabError(f"the user namespace could not be set up: {process.communicate()[1].strip()}")
    (runtime_folder() / "holder").write_text(f"{process.pid}\n")


def run_inside(*words: str) -> int:
    """Run a `covey-lab` command in the user namespace that is held."""
    pid = holder()
    if pid is None:
        raise LabError("no lab is up; begin with `covey-lab up two-nats`")
    enter = ("nsenter", "--user", "--net", "--mount", "--preserve-credentials", f"--target={pid}", f"--wd={os.getcwd()}")
    return subprocess.run([*enter, sys.executable, "-m", "tests.lab.cli", *words], env={**_environment(), INSIDE: "1"}).returncode


def stop_holder() -> None:
    pid = holder()
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGTERM)
            deadline = time.monotonic() + 3
            while holder() == pid and time.monotonic() < deadline:
                time.sleep(0.05)
            os.killpg(pid, signal.SIGKILL)
    (runtime_folder() / "holder").unlink(missing_ok=True)
