"""How far this machine's clock is from the server's, by the Date that its web port answers with."""

import asyncio
import ssl
import time
from itertools import pairwise

from helper.clients.trust import EXPIRED, NOT_YET_VALID
from helper.diagnose.check import Check
from helper.diagnose.web import Head, ask_server
from protocol.join_link import ServerLocation

TIMEOUT = 5.0  # seconds
RIGHT = 60.0  # seconds that the clock may be off
UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


async def clock_ahead(server: ServerLocation) -> float | None:
    """By how many seconds our clock is ahead of the server's, to about one; None: it does not tell.

    A certificate that is refused for its dates alone is no hindrance: a wrong clock looks like that, and nothing but the
    time is taken from the answer.
    """
    try:
        async with asyncio.timeout(TIMEOUT):
            began = time.time()
            theirs = (await _ask(server)).time
            here = (began + time.time()) / 2
    except (OSError, ValueError):
        return None
    return None if theirs is None else here - (theirs + 0.5)  # its seconds are whole


async def _ask(server: ServerLocation) -> Head:
    try:
        return await ask_server(server)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code not in (NOT_YET_VALID, EXPIRED):
            raise
    return await ask_server(server, verify=False)


def clock_check(ahead: float | None) -> Check:
    if ahead is None:
        return Check(None, "The server does not tell the time, so the clock can't be compared.")
    if abs(ahead) < 3:
        return Check(True, "The clock is right, within a second or two of the server's.")
    sentence = f"This machine's clock is {exactly(ahead)} {'ahead of' if ahead > 0 else 'behind'} the server's."
    if abs(ahead) <= RIGHT:
        return Check(True, sentence)
    return Check(False, sentence, "Set it: `timedatectl set-ntp true`. If other clocks agree with it, the server's is wrong.")


def exactly(seconds: float) -> str:
    """A length of time in its two greatest units, such as `3 h 12 min`."""
    whole = round(abs(seconds))
    for (unit, length), (smaller, part) in pairwise(UNITS):
        if whole >= length:
            rest = whole % length // part
            return f"{whole // length} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"
