"""`covey cleanup`: has the helper's own program put the machine back in order, which knows how."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from protocol.errors import CoveyError

PROGRAM = "covey-helper"


class ProgramMissing(CoveyError):
    code = "program-missing"
    hint = "Install Covey again, whole."


def clean_up(state_dir: str | None, *, as_json: bool) -> None:
    """Ends with the program's exit code, after the sentences that it says. Raises ProgramMissing."""
    words = [*(["--state-dir", state_dir] if state_dir else []), *(["--json"] if as_json else [])]
    sys.stdout.flush()
    raise SystemExit(subprocess.run([find_program(), "cleanup", *words], check=False).returncode)


def find_program() -> str:
    """The helper's program beside our own, or else where programs are."""
    beside = [str(Path(each).resolve().parent) for each in (sys.argv[0], sys.executable)]
    for folder in (*beside, str(Path(sys.executable).parent), *os.get_exec_path(), "/usr/sbin", "/usr/local/sbin"):
        if found := shutil.which(PROGRAM, path=folder):
            return found
    raise ProgramMissing(f"the program {PROGRAM} is not installed")
