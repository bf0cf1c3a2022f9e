"""What the userspace link does to frames, without interfaces or clocks."""

import random

from tests.lab.link import BACKLOG, ETHERNET_HEADER, Direction, LinkQuality

FRAME = bytes(ETHERNET_HEADER + 100)


def test_frames_come_out_after_the_delay_and_not_before() -> None:
    way = Direction(random.Random(1))
    way.admit(FRAME, LinkQuality(delay=0.04), now=10.0)
    assert way.next_at == 10.04
    assert way.due(10.03) == []
    assert way.due(10.04) == [FRAME]
    assert way.next_at is None


def test_jitter_keeps_the_order() -> None:
    way = Direction(random.Random(1))
    frames = [bytes([number]) * 64 for number in range(50)]
    for number, frame in enumerate(frames):
        way.admit(frame, LinkQuality(delay=0.01, jitter=0.05), now=number / 1000)
    assert way.due(1.0) == frames


def test_a_shorter_delay_does_not_overtake_frames_in_flight() -> None:
    way = Direction(random.Random(1))
    way.admit(b"first", LinkQuality(delay=1.0), now=0.0)
    way.admit(b"second", LinkQuality(), now=0.1)
    assert way.due(0.5) == []
    assert way.due(1.0) == [b"first", b"second"]


def test_the_share_that_is_lost_is_the_share_asked_for() -> None:
    way = Direction(random.Random(1))
    for _ in range(1000):
        way.admit(FRAME, LinkQuality(loss=0.05), now=0.0)
    assert 920 < len(way.due(0.0)) < 980


def test_what_is_too_long_vanishes() -> None:
    way = Direction(random.Random(1))
    for size in (99, 100, 101):
        way.admit(bytes(ETHERNET_HEADER + size), LinkQuality(size=100), now=0.0)
    assert [len(frame) - ETHERNET_HEADER for frame in way.due(0.0)] == [99, 100]


def test_a_full_queue_drops() -> None:
    way = Direction(random.Random(1))
    for _ in range(BACKLOG + 10):
        way.admit(FRAME, LinkQuality(delay=1.0), now=0.0)
    assert len(way.due(1.0)) == BACKLOG
