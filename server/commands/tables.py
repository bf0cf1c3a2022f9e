"""How the server's commands show lists and times."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import overload


@overload
def time_text(seconds: float) -> str: ...
@overload
def time_text(seconds: float | None) -> str | None: ...
def time_text(seconds: float | None) -> str | None:
    """Unix time as `2026-11-25T13:00:00Z` (RFC 3339)."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]], when_empty: str) -> None:
    """Print columns, each as wide as its widest cell."""
    if not rows:
        print(when_empty)
        return
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    for row in (titles, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
