import os
import random

from hypothesis import given
from hypothesis import strategies as st

from helper.relay.framing import FrameBuffer

STUN = bytes.fromhex("010100042112a442") + bytes(12) + b"abcd"


def feed(buffer: FrameBuffer, data: bytes) -> list[bytes]:
    buffer.room()[: len(data)] = data
    frames = [bytes(buffer.view[start : start + length]) for start, length in buffer.take(len(data))]
    buffer.compact()
    return frames


def test_frames_come_whole_however_the_stream_is_cut() -> None:
    rng = random.Random(1)
    frames = [STUN]
    for _ in range(300):
        payload = os.urandom(rng.choice((0, 1, 2, 3, 1400, 65535)))
        frames.append(b"\x40\x01" + len(payload).to_bytes(2, "big") + payload + bytes(-len(payload) % 4))
    stream, buffer, seen = b"".join(frames), FrameBuffer(), []
    while stream:
        size = rng.randint(1, 100_000)
        seen += feed(buffer, stream[:size])
        stream = stream[size:]
    assert seen == frames


def test_what_is_no_turn_breaks_the_stream_and_no_more_comes() -> None:
    alert = FrameBuffer()
    assert feed(alert, STUN + b"\x15\x03\x03\x00\x02\x02\x28\x00" + STUN) == [STUN]
    assert alert.is_broken
    assert feed(alert, STUN) == []
    odd = FrameBuffer()
    assert feed(odd, b"\x80\x00\x00\x00" + STUN) == []
    assert odd.is_broken


@given(st.lists(st.binary(max_size=200)))
def test_random_bytes_raise_nothing(chunks: list[bytes]) -> None:
    buffer = FrameBuffer()
    for chunk in chunks:
        feed(buffer, chunk)
        assert len(buffer.room()) > 65_556
