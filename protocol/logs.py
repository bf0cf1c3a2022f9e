"""Logs that cannot flood: the same line over and over only counts, and one place in the code may not write without end.

`Folding` decides, without clock and I/O; `FoldingHandler` stands before the handlers that write.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

SAME = 10.0  # seconds after a line in which the same is written again a few times; what is more only counts
FEW = 4  # times that it is written
AT_ONCE, A_SECOND = 400.0, 10.0  # lines that one place in the code may write: in a burst, and for ever
PLACES = 512  # lines and places that are remembered

Place = tuple[str, int]  # a file and a line of it


@dataclass(slots=True)
class _Same:
    began: float
    written: int = 1
    again: int = 0  # without being written


@dataclass(slots=True)
class _Rate:
    left: float
    looked: float
    dropped: int = 0


class Folding:
    def __init__(self) -> None:
        self._same: OrderedDict[str, _Same] = OrderedDict()  # by when they began
        self._rates: OrderedDict[Place, _Rate] = OrderedDict()  # by when they were last used

    def handle(self, place: Place, line: str, now: float) -> tuple[list[str], bool]:
        """Take in a line; say which remarks to write before it, and whether to write it."""
        remarks = self._ended(now)
        known = self._same.get(line)
        if known is not None and known.written >= FEW:
            known.again += 1
            return remarks, False
        rate = self._rate(place, now)
        if rate.left < 1:
            rate.dropped += 1
            return remarks, False
        if rate.dropped:
            remarks.append(f"{rate.dropped} lines like the next one were left out")
            rate.dropped = 0
        rate.left -= 1
        if known is not None:
            known.written += 1
        else:
            self._same[line] = _Same(now)
        if len(self._same) > PLACES:
            remarks += self._told(*self._same.popitem(last=False))
        return remarks, True

    def flush(self) -> list[str]:
        """What there is to remark now; counting begins anew."""
        remarks = [remark for line, same in self._same.items() for remark in self._told(line, same)]
        self._same.clear()
        return remarks

    def _ended(self, now: float) -> list[str]:
        remarks: list[str] = []
        while self._same and not 0 <= now - next(iter(self._same.values())).began < SAME:
            remarks += self._told(*self._same.popitem(last=False))
        return remarks

    def _rate(self, place: Place, now: float) -> _Rate:
        rate = self._rates.pop(place, None) or _Rate(AT_ONCE, now)
        self._rates[place] = rate
        rate.left, rate.looked = min(AT_ONCE, rate.left + max(0.0, now - rate.looked) * A_SECOND), now
        if len(self._rates) > PLACES:
            self._rates.popitem(last=False)
        return rate

    @staticmethod
    def _told(line: str, same: _Same) -> list[str]:
        times = "once more" if same.again == 1 else f"{same.again} times more"
        return [f"{times}: {line}"] if same.again else []


class FoldingHandler(logging.Handler):
    """Passes records on to the handlers that write, as long as they do not flood."""

    def __init__(self, *targets: logging.Handler, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self.targets = list(targets)
        self._folding, self._clock = Folding(), clock

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = record.getMessage()
        except Exception:
            line = f"a line that can't be written: {record.msg!r}"
            record.msg, record.args = line, None
        if record.exc_info and record.exc_info[1] is not None:
            line += f" ({type(record.exc_info[1]).__name__}: {record.exc_info[1]})"
        remarks, is_written = self._folding.handle((record.pathname, record.lineno), line, self._clock())
        for remark in remarks:
            self._write(_remark(remark))
        if is_written:
            self._write(record)

    def flush(self) -> None:
        self.acquire()
        try:
            for remark in self._folding.flush():
                self._write(_remark(remark))
        finally:
            self.release()
        for target in self.targets:
            target.flush()

    def _write(self, record: logging.LogRecord) -> None:
        for target in self.targets:
            if record.levelno >= target.level:
                target.handle(record)


def _remark(text: str) -> logging.LogRecord:
    return logging.LogRecord("log", logging.INFO, __file__, 0, "%s", (text,), None)
