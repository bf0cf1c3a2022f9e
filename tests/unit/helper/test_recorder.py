"""The flight recorder: a ring that a flapping line can't flush."""

from helper.recorder import EVENTS, SIZE, RecordedEvent, Recorder


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_what_repeats_within_a_minute_is_one_event_with_a_count() -> None:
    clock, told = Clock(), list[RecordedEvent]()
    recorder = Recorder(clock)
    with recorder.telling(told.append):
        for second in range(0, 90, 10):
            clock.now = 1_000_000.0 + second
            recorder.note("server", "Connected.", attempt=second)
            recorder.note("server", "Lost.")
    events = recorder.events()
    assert [(event.sentence, event.count, event.until - event.time) for event in events] == [
        ("Connected.", 6, 50.0),
        ("Lost.", 6, 50.0),
        ("Connected.", 3, 20.0),
        ("Lost.", 3, 20.0),
    ]
    assert events[0].details == {"attempt": 50}
    assert [event.sequence for event in told[:4]] == [1, 2, 1, 2]
    assert recorder.events(after=3) == events[3:]


def test_the_same_about_another_peer_is_another_event() -> None:
    recorder = Recorder(Clock())
    recorder.note("peer", "It is connected.", peer="bob")
    recorder.note("peer", "It is connected.", peer="carol")
    assert [event.peer for event in recorder.events()] == ["bob", "carol"]


def test_a_clock_that_is_set_back_ends_the_folding() -> None:
    clock = Clock()
    recorder = Recorder(clock)
    recorder.note("server", "Lost.")
    clock.now -= 3600
    recorder.note("server", "Lost.")
    assert [event.count for event in recorder.events()] == [1, 1]


def test_it_is_bounded_in_number_and_size() -> None:
    recorder = Recorder(Clock())
    for number in range(EVENTS + 100):
        recorder.note("network", f"number {number}")
    events = recorder.events()
    assert (len(events), events[0].sequence, events[-1].sequence) == (EVENTS, 101, EVENTS + 100)
    for number in range(2 * SIZE // 50_000 * 2):
        recorder.note("network", f"large {number}", **{str(place): "x" * 5000 for place in range(50)})
    assert sum(event.size for event in recorder.events()) <= SIZE


def test_earlier_events_come_first_and_new_numbers_after_them() -> None:
    earlier = Recorder(Clock())
    earlier.note("helper", "one")
    earlier.note("helper", "two")
    recorder = Recorder(Clock())
    recorder.restore(earlier.events(), first=1002)
    recorder.note("helper", "three")
    assert [(event.sequence, event.sentence) for event in recorder.events()] == [(1, "one"), (2, "two"), (1002, "three")]
