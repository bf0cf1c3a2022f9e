"""`other_clock.py SECONDS run ...`: covey-helper on a machine whose clock is ahead by so many seconds, or behind if negative.

Only what Python asks is shifted. OpenSSL and gRPC read the machine's clock themselves, so a certificate has to be out of date
by that one for them to refuse it.
"""

import datetime
import sys
import time


def shift(seconds: float) -> None:
    """Put the clock forward, for whatever is imported afterwards."""
    read, read_ns = time.time, time.time_ns

    class Shifted(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> "Shifted":
            return cls.fromtimestamp(time.time(), tz)

    time.time = lambda: read() + seconds
    time.time_ns = lambda: read_ns() + round(seconds * 1e9)
    datetime.datetime = Shifted  # type: ignore[misc]


if __name__ == "__main__":
    shift(float(sys.argv.pop(1)))
    from helper.main import main

    main()
