"""How much of the machine we get: a clock that goes slower while others take it.

Runs by itself as a program that prints, a few times a second, how many seconds have passed and how many of them were ours. A
machine that a fault-free helper shares with other work answers late through no fault of its own; bounds in fair seconds allow
for that.
"""

import subprocess
import sys
import threading
import time
from pathlib import Path

PAUSE, WORK = 0.1, 0.004  # seconds of sleep and of work (processor time) between two lines


class FairClock:
    """Fair seconds since it was started; never ahead of the real ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fair, self._real, self.worst = 0.0, 0.0, 1.0
        self._process = subprocess.Popen((sys.executable, "-S", str(Path(__file__))), stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            real, ours = map(float, line.split())
            with self._lock:
                self._real += real
                self._fair += ours
                self.worst = max(self.worst, real / ours)

    def now(self) -> float:
        with self._lock:
            return self._fair

    @property
    def slowness(self) -> float:
        """Real seconds for a fair one, over the whole time."""
        with self._lock:
            return self._real / self._fair if self._fair else 1.0

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._reader.join()


def main() -> None:
    while True:
        began, worked = time.monotonic(), time.thread_time()
        time.sleep(PAUSE)
        woke = time.monotonic()
        while time.thread_time() - worked < WORK:
            pass
        ended = time.monotonic()
        late = max(1.0, (woke - began) / PAUSE)  # how late we woke up
        hindered = max(1.0, (ended - woke) / WORK)  # how long the work took
        print(ended - began, (ended - began) / max(late, hindered), flush=True)


if __name__ == "__main__":
    main()
