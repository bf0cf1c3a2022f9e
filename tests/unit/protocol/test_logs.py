"""Logs that cannot flood."""

import logging

from protocol.logs import AT_ONCE, FEW, PLACES, SAME, Folding, FoldingHandler

HERE, THERE = ("here.py", 1), ("there.py", 2)


def test_the_same_line_over_and_over_only_counts() -> None:
    folding = Folding()
    for number in range(FEW):
        assert folding.handle(HERE, "lost", number / 10) == ([], True)
    for number in range(FEW, FEW + 53):
        assert folding.handle(HERE, "lost", number / 10) == ([], False)
    assert folding.handle(THERE, "found", SAME) == (["53 times more: lost"], True)
    assert folding.handle(HERE, "lost", SAME + 1) == ([], True)


def test_a_flood_of_different_lines_is_cut_down_and_others_are_heard() -> None:
    folding, written = Folding(), 0
    for number in range(100_000):  # in ten seconds
        written += folding.handle(HERE, f"packet {number}", number / 10_000)[1]
    assert written < AT_ONCE + 110
    assert folding.handle(THERE, "something else", 10.0)[1]
    remarks, is_written = folding.handle(HERE, "packet", 11.0)
    assert is_written
    assert "lines like the next one were left out" in remarks[-1]


def test_what_is_remembered_is_bounded() -> None:
    folding = Folding()
    for number in range(5 * PLACES):
        folding.handle((f"{number}.py", 1), f"line {number}", 0.0)
    assert len(folding._same) == len(folding._rates) == PLACES


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def test_a_logger_writes_through_it_even_what_is_wrong() -> None:
    kept = Kept()
    handler, logger = FoldingHandler(kept, clock=lambda: 0.0), logging.Logger("some")
    logger.addHandler(handler)
    for _ in range(FEW + 2):
        logger.info("one %s", "line")
    logger.info("two %d", "no number")
    handler.flush()
    assert kept.lines == [*["one line"] * FEW, "a line that can't be written: 'two %d'", "2 times more: one line"]
