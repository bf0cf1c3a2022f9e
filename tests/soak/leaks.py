"""Whether a process keeps what it should give back. Pure."""

import statistics
from collections.abc import Iterable
from typing import Protocol

LONG_ENOUGH = 300.0  # seconds a process must have lived to be judged
WARM_AFTER = 0.4  # share of its life after which it counts as warm
KEPT = {"server": 660.0}  # seconds that a program keeps things on purpose: an allocation whose owner has moved away, ten minutes
MEMORY = 5000, 0.06  # kB and share of the warm memory: growth from the warm part's first half to its second that is noise
FILES = 8  # descriptors likewise: connections that are being replaced


class Sampled(Protocol):
    name: str
    samples: list[tuple[float, int, int]]


def growth(samples: list[tuple[float, int, int]], kept: float = 0.0) -> tuple[float, float, float] | None:
    """Warm memory (kB), its growth, and the growth of file descriptors; None for a life too short to judge.

    Args:
        kept: seconds that things are kept on purpose; the process is not warm before.
    """
    if not samples or samples[-1][0] - samples[0][0] < LONG_ENOUGH:
        return None
    warm = [sample for sample in samples[int(len(samples) * WARM_AFTER) :] if sample[0] - samples[0][0] >= kept]
    if not warm or warm[-1][0] - warm[0][0] < LONG_ENOUGH * (1 - WARM_AFTER):
        return None
    first, second = warm[: len(warm) // 2], warm[len(warm) // 2 :]
    memory = [statistics.median(sample[1] for sample in part) for part in (first, second)]
    files = [statistics.median(sample[2] for sample in part) for part in (first, second)]
    return memory[0], memory[1] - memory[0], files[1] - files[0]


def leaks(lives: Iterable[Sampled]) -> Iterable[tuple[str, str]]:
    """Name and sentence of every process that grew."""
    for life in lives:
        if (grown := growth(life.samples, KEPT.get(life.name, 0.0))) is None:
            continue
        warm, memory, files = grown
        if memory > max(MEMORY[0], warm * MEMORY[1]):
            yield life.name, f"grew by {memory / 1000:.1f} MB from {warm / 1000:.1f} MB while warm"
        if files > FILES:
            yield life.name, f"holds {files:.0f} more file descriptors than before while warm"
