import os
import pathlib
import subprocess
import sys

import pytest

from protocol.file_lock import try_lock

TRY = "import sys; from protocol.file_lock import try_lock; sys.exit(0 if try_lock(open(sys.argv[1], 'a')) else 7)"
HOLD = """
import sys
from protocol.file_lock import try_lock
file = open(sys.argv[1], "a")
print(try_lock(file), flush=True)
sys.stdin.read()
"""


def other_process_gets(path: pathlib.Path) -> bool:
    return subprocess.run([sys.executable, "-c", TRY, path], check=False).returncode == 0


def test_a_lock_keeps_other_processes_out_until_the_file_is_closed(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "lock"
    with path.open("a") as file:
        assert try_lock(file)
        assert not other_process_gets(path)
    assert other_process_gets(path)


def test_a_lock_held_elsewhere_is_not_ours(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "lock"
    with path.open("a") as one, path.open("a") as two:
        assert try_lock(one)
        assert not try_lock(two)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills with a signal")
def test_a_killed_process_leaves_no_lock_behind(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "True\n"
    with path.open("a") as file:
        assert not try_lock(file)
        holder.kill()
        holder.communicate()
        assert try_lock(file)
