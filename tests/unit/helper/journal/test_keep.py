"""The recorder's events on disk: over restarts, crashes, full disks, damaged and removed files."""

import errno
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helper.journal.keep import KILLED, MAX_FILE, EventFile, Journal, kept
from helper.journal.lines import line_of, read_lines
from helper.recorder import RecordedEvent, Recorder


@st.composite
def damaged_lines(draw: st.DrawFn) -> str:
    """An event's line in which one value is another."""
    line = json.loads(line_of(RecordedEvent(7, 0.0, "helper", "fine", peer="bob")))
    line[draw(st.sampled_from(sorted(line)))] = draw(st.none() | st.booleans() | st.integers() | st.floats() | st.text())
    return json.dumps(line)


def sentences(recorder: Recorder) -> list[str]:
    return [event.sentence for event in recorder.events()]


async def test_a_second_run_tells_what_happened_in_the_first(tmp_path: Path) -> None:
    first, second = Recorder(owner=lambda: 1000), Recorder()
    async with kept(first, tmp_path, "1"):
        for _ in range(3):
            first.note("path", "bob is reached directly.", peer="bob", lossPercent=1.5, former=None)
    async with kept(second, tmp_path, "1"):
        again = second.events()
    assert sentences(second)[:3] == ["The helper started.", "bob is reached directly.", "The helper ended."]
    assert (again[1].count, again[1].owner, again[1].details) == (3, 1000, {"lossPercent": 1.5, "former": None})
    assert again[3].sentence == "The helper started."
    assert again[3].sequence > again[2].sequence
    assert os.stat(tmp_path / "events.jsonl").st_mode & 0o777 == 0o600


async def test_a_run_that_was_killed_is_told_as_such_and_a_torn_line_costs_only_itself(tmp_path: Path) -> None:
    killed = Recorder()
    killed.note("helper", "The helper started.", run="begins")
    killed.note("network", "The network changed.")
    whole = "".join(map(line_of, killed.events()))
    (tmp_path / "events.jsonl").write_text(whole + '{"sequence":3,"time":"2026-')
    recorder = Recorder()
    async with kept(recorder, tmp_path, "1"):
        pass
    assert sentences(recorder) == ["The helper started.", "The network changed.", KILLED, "The helper ended."]
    assert [event.sentence for event in EventFile(tmp_path).read()] == sentences(recorder)


def test_damaged_lines_are_left_out(tmp_path: Path) -> None:
    good = line_of(RecordedEvent(7, 0.0, "helper", "fine"))
    bad = ['{"sequence":-1}', "[" * 100_000, "null", good.replace("7", '"7"'), good.replace("helper", "nonsense"), "\x00\xff"]
    bad += [good.replace("1970", "99999"), good.replace('"details":{}', '"details":{},"count":"many"')]
    (tmp_path / "events.jsonl").write_text("\n".join(bad) + "\n" + good)
    assert [event.sequence for event in EventFile(tmp_path).read()] == [7]


@given(st.one_of(st.text(), st.recursive(st.none() | st.floats() | st.text(), st.lists).map(json.dumps), damaged_lines()))
def test_no_line_breaks_the_reader(line: str) -> None:
    good = line_of(RecordedEvent(7, 0.0, "helper", "fine"))
    for event in read_lines([line, good]):
        assert line_of(event)  # what is read can be written again


def test_two_files_of_a_bounded_size_are_kept(tmp_path: Path) -> None:
    file = EventFile(tmp_path)
    for number in range(1, 41):
        file.append("".join(line_of(RecordedEvent(number * 1000 + each, 0.0, "peer", "x" * 300)) for each in range(200)))
    events = file.read()
    assert sorted(os.listdir(tmp_path)) == ["events.jsonl", "events.jsonl.1"]
    assert sum(os.stat(tmp_path / name).st_size for name in os.listdir(tmp_path)) < 2.2 * MAX_FILE
    assert events[-1].sequence == 40_199
    assert len(events) > 2000


async def test_a_full_disk_is_told_once_and_nothing_is_lost_when_there_is_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recorder, file = Recorder(), EventFile(tmp_path)
    journal = Journal(recorder, file)

    def full(_: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with recorder.telling(journal.tell), monkeypatch.context() as disk:
        disk.setattr(file, "append", full)
        recorder.note("network", "The network changed.")
        await journal.close()
        await journal.close()
        disk.undo()
        await journal.close()
        await journal.close()
    assert caplog.text.count("No space left") == 1
    expected = ["The network changed.", "Events can't be written to the disk (No space left on device); they are kept in memory."]
    assert [event.sentence for event in file.read()] == [*expected, "Events are written to the disk again."]
