"""Where the programs of a bench write, so that a figure out of line can be explained."""

import shutil
from pathlib import Path

LOGS = Path(__file__).parents[2] / "build/bench"


def logs_of(bench: str) -> Path:
    """An empty folder for the logs of this bench, which stay there until its next run."""
    folder = LOGS / bench
    shutil.rmtree(folder, ignore_errors=True)
    return folder
