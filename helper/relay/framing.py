"""STUN messages and ChannelData in a byte stream, taken apart in place. Pure.

Source: RFC 8656, section 12.5: on TCP and TLS ChannelData fills up to 4 bytes, its length leaves the padding out.
"""

import struct

from protocol.stun import MAGIC_COOKIE

ROOM = 256 * 1024  # bytes; the largest frame is 65,556
_lengths = struct.Struct("!HH")


class FrameBuffer:
    """Read into `room()`, say how much with `take()`, use the frames in `view`, then `compact()`."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(ROOM))
        self.is_broken = False  # the other side speaks something else; nothing more comes out
        self._start = self._end = 0

    def room(self) -> memoryview:
        return self.view[self._end :]

    def take(self, count: int) -> list[tuple[int, int]]:
        """Take note of received bytes.

        Returns:
            Offset and length of each whole frame in `view`; padding may be at its end.
        """
        self._end += count
        frames: list[tuple[int, int]] = []
        start, end, view = self._start, self._end, self.view
        while end - start >= 4 and not self.is_broken:
            kind, length = _lengths.unpack_from(view, start)
            if kind < 0x4000:
                total = 20 + length
                self.is_broken = length % 4 != 0 or (end - start >= 8 and view[start + 4 : start + 8] != MAGIC_COOKIE)
            else:
                total = 4 + (length + 3 & ~3)
                self.is_broken = kind >= 0x8000
            if self.is_broken or end - start < total:
                break
            frames.append((start, total))
            start += total
        self._start = start
        return frames

    def compact(self) -> None:
        """Make room again: what is left of the last frame moves to the front."""
        rest = bytes(self.view[self._start : self._end]) if not self.is_broken else b""
        self.view[: len(rest)] = rest
        self._start, self._end = 0, len(rest)
