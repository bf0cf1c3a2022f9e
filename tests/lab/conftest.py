"""What every lab test gets: a fresh lab, and the programs' logs in its report when it fails."""

import os
import re
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.lab.meeting import show_logs
from tests.lab.network import Lab
from tests.lab.node import PATIENCE

LOGS = Path(__file__).parents[2] / "build/lab"
TIMEOUT = 7.5 * PATIENCE  # seconds; the waits within a test have bounds of their own, this one only ends what hangs
LAB = pytest.StashKey[Lab]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in (item for item in items if item.get_closest_marker("lab")):
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TIMEOUT))
        if os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="the lab needs root (or `unshare -Urnm` where the kernel allows it)"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, None, None]:
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.when == "call" and report.failed and LAB in item.stash:
        report.sections.append(("programs in the lab", show_logs(item.stash[LAB])))


@pytest.fixture
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A lab with server and internet; logs stay in build/lab/NAME-OF-THE-TEST until its next run."""
    logs = LOGS / re.sub(r"[^\w.-]+", "-", request.node.name).strip("-")
    shutil.rmtree(logs, ignore_errors=True)
    with Lab(logs) as lab:
        request.node.stash[LAB] = lab
        yield lab
