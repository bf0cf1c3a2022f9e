"""How large a packet one path carries in the direction we send, found out with padded ICE checks. Pure.

    checking --the full size is answered--> settled --after a while--> checking
        |  it is not                          ^
        +--> searching: all sizes at once ----+  at the largest one that was answered

A line that swallows large packets says nothing, so a size counts as too large when several probes of it stay without an answer.
While no size at all is answered nothing is known: the path may be dead, or the peer of a kind that does not answer padded checks.
Sizes are those of packets inside the tunnel, in bytes.
"""

from collections.abc import Iterable

IPV4_UDP, IPV6_UDP = 28, 48  # bytes of headers around a WireGuard message
WIREGUARD = 32  # header and tag of a data message (WireGuard paper, section 5.4.6)
CHANNEL = 4  # header of ChannelData (RFC 8656, section 12.4)
BLOCK = 16  # WireGuard fills packets up to a multiple of this, but never above the interface's MTU
OUTER_SIZES = (1500, 1492, 1480, 1460, 1440, 1420, 1400, 1380, 1360, 1340, 1320, 1300, 1280, 1240, 1200)  # that lines have

ROUNDS = 3  # of probes of every size that is still in question
IDLE_EVERY, BUSY_EVERY = 600.0, 30.0  # seconds until a settled size is checked again: without and with data on the path
STALLED_EVERY = 5.0  # seconds while data goes out and nothing comes back, as when large packets are swallowed
A_LARGE_PACKET, UPKEEP = 1000, 100  # bytes: less sent than the one is no data, less received than the other are keepalives
UNKNOWN_FOR = (5.0, 120.0)  # seconds until a path that answered no size is asked again; doubling
SETTLED = -1


def overhead(*, is_ipv6: bool, is_relayed: bool) -> int:
    """Bytes that the outermost packet of the path has more than the one inside the tunnel."""
    return (IPV6_UDP if is_ipv6 else IPV4_UDP) + WIREGUARD + (CHANNEL if is_relayed else 0)


def smaller_sizes(full: int, overhead: int) -> list[int]:
    """The sizes below `full` worth a try, ascending: what fits into lines that exist, and stays so when WireGuard fills it up."""
    fitting = {(outer - overhead) // BLOCK * BLOCK for outer in OUTER_SIZES}
    return sorted(size for size in fitting if size < full)


def message_length(size: int, full: int) -> int:
    """How long the WireGuard message around a packet becomes where the interface's MTU is `full`; rounded up as STUN has it."""
    filled = min(-(-size // BLOCK) * BLOCK, full)
    return (filled + WIREGUARD + 3) // 4 * 4


class PathMtu:
    """The search on one path.

    Attributes:
        mtu: the largest packet that is known to pass, `full` at most; None while nothing is known.
        deadline: when `advance` wants to be called next, on the event loop's clock.
    """

    def __init__(self, full: int, sizes: Iterable[int], now: float) -> None:
        """`full` is the interface's MTU: no packet is larger, so no more is asked. `sizes` are those below it."""
        self.mtu: int | None = None
        self.deadline = now
        self._full, self._sizes = full, [*sizes, full]
        self._passed = 0  # the largest answered in this search
        self._refused = full + 1  # the least that this machine itself does not send
        self._asked: list[int] = []
        self._round = SETTLED  # 0: checking; 1 to ROUNDS: searching
        self._settled_at = now
        self._unknown_for = UNKNOWN_FOR[0]

    def advance(self, now: float, timeout: float) -> list[int]:
        """Say which sizes to probe now.

        Args:
            timeout: seconds that an answer may take on this path.
        """
        if now < self.deadline:
            return []
        if self._round == SETTLED:
            self._passed, self._refused = 0, self._full + 1
            return self._ask(0, self._check_sizes(), now + timeout)
        self._take_result(now)
        return [] if self._round == SETTLED else self._ask(self._round + 1, self._in_question(), now + timeout)

    def answered(self, size: int, now: float) -> None:
        """A probe of this size arrived, in time or late."""
        self._passed = max(self._passed, size)
        if self._round == SETTLED:
            if size > (self.mtu or 0):
                self.mtu = size
        elif self._passed == max(self._asked):
            self._take_result(now)

    def refused(self, size: int, now: float) -> None:
        """This machine does not send so large a packet: its own link carries less."""
        self._refused = min(self._refused, size)
        if all(one >= self._refused for one in self._asked):
            self.deadline = now

    def counted(self, sent: int, received: int) -> None:
        """Take in how many bytes the tunnel carried in the last seconds: that the path became narrower should be noticed soon."""
        if self._round == SETTLED and self.mtu is not None and sent >= A_LARGE_PACKET:
            pause = STALLED_EVERY if received < UPKEEP else BUSY_EVERY
            self.deadline = min(self.deadline, self._settled_at + pause)

    def _check_sizes(self) -> list[int]:
        """The full size; for a narrower path also what passed, and the next size above."""
        if self.mtu is None or self.mtu >= self._full:
            return [self._full]
        above = next(size for size in self._sizes if size > (self.mtu or 0))
        return sorted({self.mtu, above, self._full})

    def _ask(self, number: int, sizes: list[int], deadline: float) -> list[int]:
        self._round, self._asked, self.deadline = number, sizes, deadline
        return sizes

    def _in_question(self) -> list[int]:
        return [size for size in self._sizes if self._passed < size < self._refused]

    def _take_result(self, now: float) -> None:
        """Within a search what passed so far holds at once: larger packets are being lost."""
        if self._passed and (self._round > 0 or self._passed == self._full):
            self.mtu = self._passed
        if self._round == 0:
            is_found = self._passed in (self._full, self.mtu)
        else:
            is_found = self._round == ROUNDS or not self._in_question()
        if is_found:
            self._settle(now)

    def _settle(self, now: float) -> None:
        self._round, self._settled_at = SETTLED, now
        if self._passed:
            self.deadline, self._unknown_for = now + IDLE_EVERY, UNKNOWN_FOR[0]
        else:
            self.deadline = now + self._unknown_for
            self._unknown_for = min(2 * self._unknown_for, UNKNOWN_FOR[1])
