"""One measured figure, as `make bench` prints it and writes it to build/bench.json."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured, what was hoped for, and what it was compared with in the same run.

    Attributes:
        name: the bench and what it measured, as `connect.up-to-ping.median`.
        unit: of `value` and `peer_value`; "ratio" for one thing divided by another.
        goal: in words for people, as `<= 0.5`; empty where there is none.
        holds: whether the goal was reached; True where there is none.
        peer: what it was compared with; empty for nothing.
    """

    name: str
    value: float
    unit: str
    goal: str = ""
    holds: bool = True
    peer: str = ""
    peer_value: float | None = None
