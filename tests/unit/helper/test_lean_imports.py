"""What the helper's process holds in memory: in a Python of its own, as imports last."""

import subprocess
import sys


def said_by(program: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_helper_loads_no_package_that_it_has_no_use_for() -> None:
    program = """
import sys
from helper.lean_imports import load_only_what_is_used
load_only_what_is_used()
import helper.daemon, helper.local_api.listener
print(*(name for name in ("dns", "ifaddr", "pydantic", "pyroute2.ndb", "rich", "sqlite3", "typer") if name in sys.modules))
"""
    assert said_by(program) == []


def test_what_a_large_package_has_of_its_own_is_there_when_it_is_asked_for() -> None:
    program = """
from helper.lean_imports import load_only_what_is_used
load_only_what_is_used()
import aioice.stun
from aioice import candidate, Connection
from pyroute2 import AsyncIPRoute
from pyroute2.iproute.linux import AsyncIPRoute as same
print(Connection.__name__, candidate.Candidate is aioice.Candidate, AsyncIPRoute is same)
"""
    assert said_by(program) == ["Connection", "True", "True"]
