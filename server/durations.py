"""Lengths of time as people write them. Pure."""

import re

from protocol.errors import UsageError

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: str) -> float:
    """Seconds of `90s`, `15m`, `24h`, `7d` or a sum such as `1d12h`. Raises UsageError."""
    if not re.fullmatch(r"([0-9]{1,9}[smhd])+", text.strip()):
        raise UsageError(f"{text!r} is no duration", "Write a number and s, m, h or d: 90s, 15m, 24h, 7d.")
    return float(sum(int(number) * UNITS[unit] for number, unit in re.findall(r"([0-9]+)([smhd])", text)))
