"""Pictures and desktop entries, as files; `FOLDER` is where they are."""

from pathlib import Path

FOLDER = Path(__file__).parent
