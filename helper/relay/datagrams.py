"""Datagram sockets that carry the tunnel's packets: many at a time where the system can.

`receive` and `Sender` work on whole bursts. A burst is one memory and a list of frames, each its offset and length; what
is sent is a list of parts, `width` of them to a datagram, so that headers need no copying.
"""

import sys

Frame = tuple[int, int]  # offset and length of a datagram in the room it was received into
Part = bytes | memoryview

ROOM = 256 * 1024  # bytes; up to 64 plain datagrams, or at least three bursts of 64 KiB

if sys.platform == "linux":
    from helper.relay.linux import Sender, mark, prepare, receive
else:
    from helper.relay.plain import Sender, mark, prepare, receive

__all__ = ["ROOM", "Frame", "Part", "Sender", "mark", "prepare", "receive"]
